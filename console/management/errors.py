from autocom.kernel.errors import AutocomError


class UsageWrong(AutocomError):
    """The arguments do not go together; the message says which would."""

    code = "usage_wrong"
