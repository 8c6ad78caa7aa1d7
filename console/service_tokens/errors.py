from autocom.kernel.errors import AutocomError


class TokenRefused(AutocomError):
    """Nobody comes in with it. Which of the reasons it is, only operators see: `manage.py service_token list`."""

    code = "service_token_refused"

    def __init__(self) -> None:
        super().__init__("the token is unknown, expired or revoked: ask the operators for another one")


class TokenSettingWrong(AutocomError):
    code = "service_token_setting_wrong"
