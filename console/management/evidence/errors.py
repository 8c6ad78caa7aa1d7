from autocom.kernel.errors import AutocomError


class UsageWrong(AutocomError):
    code = "usage_wrong"
