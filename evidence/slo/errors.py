"""What is wrong with a file of objectives."""

from evidence.errors import EvidenceError


class SloInvalid(EvidenceError):
    """The file says something that no objective can say; the message names the place and a right value."""

    code = "slo_invalid"


class SloUnknown(EvidenceError):
    """There is no such objective; the message names those that there are."""

    code = "slo_unknown"
