"""How far autocom may go in the outside world."""

from enum import StrEnum


class Mode(StrEnum):
    OBSERVER = "OBSERVER"
    LIMITED = "LIMITED"
    PRODUCTION = "PRODUCTION"


def current_mode() -> Mode:
    """OBSERVER, until the decision of a gate enables another; on any doubt it is OBSERVER too."""
    return Mode.OBSERVER
