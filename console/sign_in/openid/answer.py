"""What the browser brought back from the issuer, and whom it proves."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings

from console.sign_in.openid.attempt import Attempt, back_to
from console.sign_in.openid.errors import IssuerRefused, IssuerWrong
from console.sign_in.openid.id_token import subject_of
from console.sign_in.openid.issuer import DISCOVERED, id_token_for, keys_of, word

ONE_SECOND_US = 1_000_000


def subject_behind(answer: Mapping[str, str], *, attempt: Attempt) -> str:
    """Raises OpenIdError."""
    issuer = DISCOVERED.issuer(settings.OIDC_ISSUER)
    said_by = answer.get("iss")  # RFC 9207: no answer of another issuer is taken for one of this
    if said_by != issuer.name and (said_by is not None or issuer.names_itself):
        raise IssuerWrong("the answer is of another issuer")
    if "error" in answer or not answer.get("code"):
        raise IssuerRefused(f"it sent no code: {word(answer.get('error')) or 'and not why'}")
    token = id_token_for(answer["code"], verifier=attempt.verifier, back_to=back_to(), issuer=issuer)
    is_again = attempt.again_for is not None
    return subject_of(
        token,
        keys=keys_of(issuer),
        issuer=issuer.name,
        client_id=settings.OIDC_CLIENT_ID,
        nonce=attempt.nonce,
        signed_in_since_seconds=attempt.begun_at_us // ONE_SECOND_US if is_again else None,
    )
