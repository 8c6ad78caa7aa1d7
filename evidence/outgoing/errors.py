"""Why a message did not reach its destination."""

from typing import ClassVar

from evidence.errors import EvidenceError


class AddressNotPublic(EvidenceError):
    """The host's name leads into our own network. Nothing was sent."""

    code = "destination_not_public"


class DestinationRefused(EvidenceError):
    """It answered, but did not take the message; it is tried again."""

    code = "destination_refused"
    retryable: ClassVar[bool] = True


class DestinationGone(EvidenceError):
    """It answered 410: it wants no such message any more."""

    code = "destination_gone"


class MailNotTaken(EvidenceError):
    """The mail server was away, asked for patience, or did not let us in; it is tried again."""

    code = "mail_not_taken"
    retryable: ClassVar[bool] = True


class MailRefused(EvidenceError):
    """The mail server will never take this message."""

    code = "mail_refused"


class EventGone(EvidenceError):
    """The event's payload aged out before the destination had it."""

    code = "outgoing_event_gone"


class OutsideCanary(EvidenceError):
    """The mode lets only other events leave."""

    code = "outside_canary"


class DestinationNotFound(EvidenceError):
    """No destination has this name."""

    code = "destination_not_found"


class DestinationInUse(EvidenceError):
    """Messages to it are not settled; nothing was removed."""

    code = "destination_in_use"


class OutgoingNotThere(EvidenceError):
    """A message is not there, or in a state that this act is not for. Nothing was changed."""

    code = "outgoing_not_there"


class SecretInvalid(EvidenceError):
    """The signing secret is none; it is not repeated in the message."""

    code = "destination_secret_invalid"


class DestinationExists(EvidenceError):
    """The name is taken; nothing was added."""

    code = "destination_exists"
