"""One press of the button, as the browser's session keeps it until the issuer sends the browser back."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass
from typing import Any, Self
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.sessions.backends.base import UpdateError
from django.http import HttpRequest
from django.urls import reverse
from django.utils.crypto import constant_time_compare

from autocom.kernel.clock import SYSTEM_CLOCK
from console.sign_in.openid.errors import AttemptUnknown
from console.sign_in.openid.issuer import Issuer

KEPT_AS = "console.openid.attempt"
LIMIT_US = 600_000_000
TOO_LATE = "this sign-in was begun in another browser, is over ten minutes old, or has come back before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """`onward`: a path of ours, checked. `again_for`: who is signed in and proves once more who they are, else None."""

    state: str
    nonce: str
    verifier: str
    begun_at_us: int
    onward: str
    again_for: int | None = None

    @classmethod
    def begin(cls, session: MutableMapping[str, Any], *, onward: str, again_for: int | None = None) -> Self:
        """The only one of this browser from now on."""
        made = cls(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            begun_at_us=SYSTEM_CLOCK.now_us(),
            onward=onward,
            again_for=again_for,
        )
        session[KEPT_AS] = asdict(made)
        return made

    @staticmethod
    def is_begun(request: HttpRequest) -> bool:
        return KEPT_AS in request.session

    @classmethod
    def take(cls, request: HttpRequest, state: str) -> Self:
        """It is over afterwards, whatever becomes of it. Raises AttemptUnknown."""
        kept = request.session.get(KEPT_AS)
        if kept is None or not constant_time_compare(kept["state"], state):
            raise AttemptUnknown(TOO_LATE)  # and what this browser did begin can still come back
        del request.session[KEPT_AS]
        try:
            request.session.save()  # now, not with the answer: the issuer is asked in between
        except UpdateError as error:  # the session was ended meanwhile
            raise AttemptUnknown(TOO_LATE) from error
        found = cls(**kept)
        if not 0 <= SYSTEM_CLOCK.now_us() - found.begun_at_us <= LIMIT_US:
            raise AttemptUnknown(TOO_LATE)
        return found

    def address(self, issuer: Issuer) -> str:
        """Where the browser goes. Only `openid` is asked for: no name, no mail, no group."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "scope": "openid",
            "client_id": settings.OIDC_CLIENT_ID,
            "redirect_uri": back_to(),
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        if self.again_for is not None:
            query |= {"prompt": "login", "max_age": "0"}
        url = issuer.authorization_url
        return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


def back_to() -> str:
    """As it is registered with the issuer: of the settings, whatever a request says of its host."""
    return f"{settings.OIDC_BACK_TO.rstrip('/')}{reverse('admin:openid_callback')}"
