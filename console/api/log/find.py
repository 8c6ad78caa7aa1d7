"""Which log, which of its lives and which of its seals an address means."""

from __future__ import annotations

from console.api.log.problems import LogProblem, Refused
from evidence.log.names import LogName
from evidence.log.reads import current_incarnation, last_of
from evidence.models import LogIncarnation, Seal

NUMBER_DIGITS_AT_MOST = 18  # below PostgreSQL's bigint


def incarnation_named(log: str, token: str) -> LogIncarnation:
    """The current one where no token is given. Raises Refused."""
    name = log_named(log)
    found = LogIncarnation.objects.filter(log=log, token=token).first() if token else current_incarnation(name)
    if found is None and token:
        raise Refused(
            LogProblem.LOG_UNKNOWN, f"The log {log} has no life {token[:16]}: GET /log/ names the current one."
        )
    if found is None:
        raise not_sealed(log)
    return found


def log_named(log: str) -> LogName:
    try:
        return LogName(log)
    except ValueError:
        raise Refused(LogProblem.LOG_UNKNOWN, f"The logs are {' and '.join(LogName)}.") from None


def newest_seal(log: str, token: str) -> Seal:
    """Raises Refused."""
    found = last_of(incarnation_named(log, token))
    if found is None:
        raise not_sealed(log)
    return found


def seal_of_size(log: str, token: str, size: int) -> Seal:
    """The one whose tree has this size. Raises Refused."""
    incarnation = incarnation_named(log, token)
    found = Seal.objects.filter(incarnation=incarnation, tree_size=size).select_related("incarnation").first()
    if found is None:
        raise Refused(LogProblem.LOG_SIZE_UNKNOWN, f"No checkpoint of size {size} was signed for {incarnation.origin}.")
    return found


def seal_numbered(log: str, token: str, number: int) -> Seal:
    """Raises Refused."""
    incarnation = incarnation_named(log, token)
    found = Seal.objects.filter(incarnation=incarnation, number=number).select_related("incarnation").first()
    if found is None:
        raise Refused(LogProblem.LOG_SIZE_UNKNOWN, f"{incarnation.origin} has no seal {number} yet.")
    return found


def whole_number(text: str | None, what: str) -> int:
    """Raises Refused."""
    if not text or not (text.isascii() and text.isdigit()) or len(text) > NUMBER_DIGITS_AT_MOST:
        raise Refused(
            LogProblem.LOG_REQUEST_MALFORMED,
            f"{what} is missing or no whole number, as in /log/events/consistency?old=8&size=13",
        )
    return int(text)


def not_sealed(log: str) -> Refused:
    return Refused(LogProblem.LOG_NOT_SEALED, f"Nothing of the log {log} has been sealed yet. Ask again.")
