"""Why something was not entered in the ledger."""

from evidence.errors import EvidenceError


class CorrectionRefused(EvidenceError):
    """Nothing was entered; the message says what a correction has to be."""

    code = "budget_correction_refused"


class ProposalUnknown(EvidenceError):
    """No proposal has this number."""

    code = "budget_proposal_unknown"
