"""Whom an ID token names: steps of OpenID Connect Core 3.1.3.7, in order, each enough to refuse.

1. the algorithm is one of public keys: never `none`, never one whose key we would share
2. the key is the issuer's, of that kind, the one that the token names
3. the signature is of that key; issuer and audience are those of the settings; it is not expired, not of the future
4. where it names an authorized party, that is us
5. the nonce is that of this attempt
6. the subject is a text that can be kept
7. where a fresh sign-in was asked for, it was

Not checked: `at_hash`, as no access token is used, and `acr`/`amr`, as our own second factor is asked for afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from django.utils.crypto import constant_time_compare

from console.sign_in.openid.errors import TokenRefused

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
KINDS = ("RSA", "EC", "OKP")
CLAIMS = ("iss", "sub", "aud", "exp", "iat", "nonce")
LEEWAY_SECONDS = 60  # clocks of two hosts
SUBJECT_LIMIT_CHARS = 255


def subject_of(
    token: str,
    *,
    keys: Sequence[Mapping[str, Any]],
    issuer: str,
    client_id: str,
    nonce: str,
    signed_in_since_seconds: int | None = None,
) -> str:
    """`signed_in_since_seconds`: when a fresh sign-in was asked for. Raises TokenRefused."""
    try:
        algorithm, kid = _header(token)
        claims = jwt.decode(
            token,
            key=_key(keys, algorithm=algorithm, kid=kid),
            algorithms=[algorithm],
            issuer=issuer,
            audience=client_id,
            leeway=LEEWAY_SECONDS,
            options={"require": list(CLAIMS)},
        )
    except (jwt.PyJWTError, RecursionError) as error:  # the latter of JSON within JSON
        raise TokenRefused(f"the ID token does not hold: {type(error).__name__}") from error
    _is_for_us(claims, client_id=client_id)
    if not (isinstance(claims["nonce"], str) and constant_time_compare(claims["nonce"], nonce)):
        raise TokenRefused("the ID token is of another attempt")
    if signed_in_since_seconds is not None:
        _is_fresh(claims, since_seconds=signed_in_since_seconds)
    return _subject(claims)


def _header(token: str) -> tuple[str, str | None]:
    header = jwt.get_unverified_header(token)
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise TokenRefused("the ID token is signed with no algorithm of public keys")
    return algorithm, kid if isinstance(kid, str) else None


def _key(keys: Sequence[Mapping[str, Any]], *, algorithm: str, kid: str | None) -> jwt.PyJWK:
    """The one that the token names; the only one where it names none."""
    fitting = [
        key
        for key in keys
        if key.get("kty") in KINDS
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and kid in (None, key.get("kid"))
    ]
    if len(fitting) != 1:
        raise TokenRefused("the issuer has no such key, or the ID token does not say which")
    return jwt.PyJWK(dict(fitting[0]), algorithm=algorithm)


def _is_for_us(claims: Mapping[str, Any], *, client_id: str) -> None:
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else client_id) != client_id:
        raise TokenRefused("the ID token was made out for another application")


def _is_fresh(claims: Mapping[str, Any], *, since_seconds: int) -> None:
    at = claims.get("auth_time")
    if not isinstance(at, int | float) or at < since_seconds - LEEWAY_SECONDS:
        raise TokenRefused("the sign-in there is an old one: a new one was asked for")


def _subject(claims: Mapping[str, Any]) -> str:
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_LIMIT_CHARS or not subject.isprintable():
        raise TokenRefused("the ID token names nobody that can be kept")
    return subject
