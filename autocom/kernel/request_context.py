"""Which request is at hand, for log lines and error reports; in a drain, the first request of the batch."""

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from uuid import UUID

REQUEST_ID: ContextVar[UUID | None] = ContextVar("request_id", default=None)
# gives the personal texts of what is at hand, so that an error report can leave them out; called only for such a report
PERSONAL_TEXTS: ContextVar[Callable[[], Iterator[str]] | None] = ContextVar("personal_texts", default=None)
ENVIRON_KEY = "autocom.request_id"  # in a request's environ, where the server has given it an id already
