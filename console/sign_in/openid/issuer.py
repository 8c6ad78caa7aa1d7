"""The issuer of the settings, asked over https: what it says of itself, the token for a code, its keys.

What it says of itself is kept for minutes, a failure for seconds: anybody can press the button, and a press must be no
way to make this host ask another one over and over, nor to hold the console's threads. Keys are kept not at all: they
are needed once for each sign-in, after a code, and a key that was withdrawn counts no more.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from django.conf import settings

from autocom.kernel.addresses import is_loopback
from console.sign_in.openid.errors import IssuerAway, IssuerRefused, IssuerWrong
from evidence.publishing.exchange import Answer, Broken, Limits, exchange
from evidence.sends import DestinationInvalid, DestinationUnknown, resolve

WELL_KNOWN = "/.well-known/openid-configuration"
LIMITS = Limits(connect_seconds=5.0, silence_seconds=5.0, answer_seconds=5.0)
KEPT_SECONDS = 600.0
FAILURE_KEPT_SECONDS = 10.0
AT_ONCE_COUNT = 2  # of the console's four threads: the others go on to serve those who are in
OK, BAD_REQUEST, UNAUTHORIZED = 200, 400, 401
FORM = "application/x-www-form-urlencoded"

_ASKING = threading.BoundedSemaphore(AT_ONCE_COUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """As its discovery document has it. `names_itself`: each answer to us has an `iss` (RFC 9207)."""

    name: str
    authorization_url: str
    token_url: str
    keys_url: str
    takes_basic: bool
    names_itself: bool


class Discovered:
    """What an issuer said of itself last, for this process."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, Issuer | IssuerAway | IssuerWrong]] = {}

    def issuer(self, name: str) -> Issuer:
        """Raises IssuerAway, IssuerWrong."""
        until, found = self._kept.get(name, (0.0, IssuerAway()))
        if time.monotonic() >= until:
            found = _found(name)
            seconds = KEPT_SECONDS if isinstance(found, Issuer) else FAILURE_KEPT_SECONDS
            self._kept = {name: (time.monotonic() + seconds, found)}
        if isinstance(found, Issuer):
            return found
        raise type(found)(str(found))

    def forget(self) -> None:
        self._kept = {}


DISCOVERED = Discovered()


def id_token_for(code: str, *, verifier: str, back_to: str, issuer: Issuer) -> str:
    """Raises IssuerAway, IssuerRefused, IssuerWrong."""
    client, secret = settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back_to, "code_verifier": verifier}
    headers = {"Content-Type": FORM}
    if issuer.takes_basic:  # RFC 6749, 2.3.1: each encoded as in a form, before base64
        pair = f"{quote_plus(client)}:{quote_plus(secret)}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    else:
        form |= {"client_id": client, "client_secret": secret}
    answer = _asked("POST", issuer.token_url, headers=headers, body=urlencode(form).encode())
    if answer.status in (BAD_REQUEST, UNAUTHORIZED):
        raise IssuerRefused(f"it did not take the code ({answer.status} {_error_of(answer)})")
    token = _document(answer, "token endpoint").get("id_token")
    if not isinstance(token, str):
        raise IssuerWrong("its token endpoint gave no ID token: is the scope openid allowed for this client?")
    return token


def keys_of(issuer: Issuer) -> list[Mapping[str, Any]]:
    """The issuer's public keys, now. Raises IssuerAway, IssuerWrong."""
    keys = _document(_asked("GET", issuer.keys_url), "key set").get("keys")
    if not isinstance(keys, list):
        raise IssuerWrong("its key set has no keys")
    return [key for key in keys if isinstance(key, dict)]


def word(error: object) -> str:
    """RFC 6749, 5.2: a word from a list. Anything else is not repeated."""
    is_word = isinstance(error, str) and error.isascii() and error.replace("_", "").isalpha() and len(error) <= 40
    return str(error) if is_word else ""


def _found(name: str) -> Issuer | IssuerAway | IssuerWrong:
    try:
        answer = _asked("GET", f"{name.removesuffix('/')}{WELL_KNOWN}")
        return _issuer(name, _document(answer, "discovery"))
    except (IssuerAway, IssuerWrong) as error:
        return error


def _issuer(name: str, told: Mapping[str, Any]) -> Issuer:
    if told.get("issuer") != name:  # OpenID Connect Discovery, 4.3: exactly, to the last slash
        raise IssuerWrong(
            f"its discovery calls it {str(told.get('issuer'))[:200]!r}: OIDC_ISSUER must be that, exactly"
        )
    methods = told.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    if not isinstance(methods, list) or not {"client_secret_basic", "client_secret_post"} & set(map(str, methods)):
        raise IssuerWrong("it takes no client secret: allow client_secret_basic or client_secret_post for this client")
    return Issuer(
        name=name,
        authorization_url=_address(told, "authorization_endpoint", issuer=name),
        token_url=_address(told, "token_endpoint", issuer=name),
        keys_url=_address(told, "jwks_uri", issuer=name),
        takes_basic="client_secret_basic" in methods,
        names_itself=told.get("authorization_response_iss_parameter_supported") is True,
    )


def _address(told: Mapping[str, Any], name: str, *, issuer: str) -> str:
    """https, or http on this machine where the issuer itself is here."""
    url = told.get(name)
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
    except ValueError:
        parts = urlsplit("")
    both_here = is_loopback(parts.hostname or "") and is_loopback(urlsplit(issuer).hostname or "")
    if parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and both_here)):
        return str(url)
    raise IssuerWrong(f"its {name} is no https address")


def _asked(method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
    try:
        with _a_place():
            destination = resolve(url)
            return exchange(
                destination,
                method=method,
                path=destination.path or "/",
                headers={"Accept": "application/json", **(headers or {})},
                chunks=[body] if body else (),
                size_bytes=len(body),
                limits=LIMITS,
            )
    except (Broken, DestinationUnknown) as error:
        raise IssuerAway(str(error)) from error
    except DestinationInvalid as error:
        raise IssuerWrong(str(error)) from error


@contextmanager
def _a_place() -> Iterator[None]:
    if not _ASKING.acquire(blocking=False):
        raise IssuerAway("others are being signed in just now")
    try:
        yield
    finally:
        _ASKING.release()


def _document(answer: Answer, what: str) -> Mapping[str, Any]:
    if answer.status != OK:
        raise IssuerAway(f"its {what} answered {answer.status}")
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise IssuerWrong(f"its {what} is no JSON") from error
    if not isinstance(told, dict):
        raise IssuerWrong(f"its {what} is no JSON object")
    return told


def _error_of(answer: Answer) -> str:
    try:
        return word(json.loads(answer.body).get("error"))
    except (ValueError, AttributeError, RecursionError):
        return ""
