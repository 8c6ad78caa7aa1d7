"""The root of our error trees. HTTP statuses are given at the edge, never here."""

from typing import ClassVar


class AutocomError(Exception):
    """An error with a stable code. `retryable` says whether the same call may succeed later."""

    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False


class ConfigurationError(AutocomError):
    """The environment or a stored setting is wrong; the message names it and says what a right one looks like."""

    code = "configuration_error"
