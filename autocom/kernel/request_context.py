"""Which request is at hand, for log lines and error reports; in a drain, the first request of the batch."""

from contextvars import ContextVar
from uuid import UUID

REQUEST_ID: ContextVar[UUID | None] = ContextVar("request_id", default=None)
ENVIRON_KEY = "autocom.request_id"  # in a request's environ, where the server has given it an id already
