"""Why something was not entered in the ledger."""

from evidence.errors import EvidenceError


class CorrectionRefused(EvidenceError):
    """Nothing was entered; the message says what a correction has to be."""

    code = "budget_correction_refused"


class ProposalUnknown(EvidenceError):
    """No proposal has this number."""

    code = "budget_proposal_unknown"


class WindowUnknown(EvidenceError):
    """The ledger has no such window of time."""

    code = "budget_window_unknown"


class LedgerFilterInvalid(EvidenceError):
    """The ledger cannot be narrowed or sorted so."""

    code = "budget_filter_invalid"
