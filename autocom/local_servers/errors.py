"""The one error of this package."""


class LocalServerError(Exception):
    """A local server cannot be used. The message is one line that says what to do; no data was changed."""


class ServerGone(LocalServerError):
    """It answered a moment ago and does no more: to be looked at again."""
