"""Why somebody did not come in by OpenID Connect. The page says the sentence, the audit log the code."""

from __future__ import annotations

from typing import ClassVar

from autocom.kernel.errors import AutocomError


class OpenIdError(AutocomError):
    code = "openid_failed"


class AttemptUnknown(OpenIdError):
    """The answer fits nothing that this browser began: another's, used before, or too late."""

    code = "openid_attempt_unknown"


class IssuerRefused(OpenIdError):
    """The issuer did not let them in, or did not take the code."""

    code = "openid_issuer_refused"


class IssuerAway(OpenIdError):
    """No answer, or none within seconds."""

    code = "openid_issuer_away"
    retryable: ClassVar[bool] = True


class IssuerWrong(OpenIdError):
    """It answers, and not as the issuer of the settings would."""

    code = "openid_issuer_wrong"


class TokenRefused(OpenIdError):
    """The ID token does not prove that this person signed in for this attempt. `got` is for the audit log alone."""

    code = "openid_token_refused"


class NotLinked(OpenIdError):
    """The issuer vouches for them, and no operator said who they are here; or that person may not come in."""

    code = "openid_not_linked"

    why = "whom the issuer vouches for is nobody here who may come in"

    def __init__(self, *, subject: str) -> None:
        super().__init__(self.why)
        self.subject = subject


class SomebodyElse(NotLinked):
    """A fresh sign-in was asked of one person, and another one answered."""

    code = "openid_somebody_else"
    why = "whom the issuer vouches for is somebody else than who is signed in"
