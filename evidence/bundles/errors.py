"""Why there is no bundle, or no part of it."""

from evidence.errors import EvidenceError


class BundleRefused(EvidenceError):
    """No bundle can be made of this run; the message says what to do."""

    code = "bundle_refused"


class NotThere(Exception):
    """A group of parts has no source; the message says why. The bundle is made without it and is INCONCLUSIVE."""
