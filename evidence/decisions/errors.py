"""Why nothing was decided. The message is for the person who asked."""

from __future__ import annotations

from evidence.errors import EvidenceError


class DecisionRefused(EvidenceError):
    """The decision, or the approval of one, was refused and nothing changed."""

    code = "decision_refused"


class NotPassed(DecisionRefused):
    """There is no PASS to say GO on. A FAIL cannot be overridden: only a new version of the specification can."""

    code = "gate_not_passed"


class DriRefused(EvidenceError):
    """Nobody was made DRI, or ceased to be."""

    code = "dri_refused"
