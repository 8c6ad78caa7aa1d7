"""An OpenID provider on loopback: discovery, keys, a page that signs in, and a token endpoint that checks everything.

It is strict, so that a client that forgets PKCE, its secret or its address fails here; and it can be told to lie.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CLIENT_ID, CLIENT_SECRET = "autocom console", "s3cret/of+the client:0123456789"  # what form encoding changes
TOKEN_SECONDS = 300


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class SigningKey:
    def __init__(self) -> None:
        self.kid = secrets.token_hex(8)
        self.private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)

    def public_pem(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def jwk(self) -> dict[str, Any]:
        made: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {
            **made,
            "kid": self.kid,
            "use": "sig",
        }  # without "alg", as it may be: nothing but the client refuses one


@cache
def first_key() -> SigningKey:
    """Of every provider until it changes it: one takes a while to make."""
    return SigningKey()


@dataclass(slots=True)
class Grant:
    """What a code stands for."""

    nonce: str
    redirect_uri: str
    challenge: str
    subject: str


@dataclass
class IdentityProvider:
    """`claims` override those of the next tokens. `make`: how a token is made of claims, for one that is forged."""

    port: int
    back_to: str
    subject: str = "4f1c2a90-subject"
    key: SigningKey = field(default_factory=first_key)
    claims: dict[str, Any] = field(default_factory=dict)
    make: Callable[[dict[str, Any]], str] | None = None
    discovery: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)  # paths, in order
    authorizations: list[dict[str, str]] = field(default_factory=list)
    grants: dict[str, Grant] = field(default_factory=dict)
    status: int = 200  # of discovery, keys and tokens
    hold: threading.Event | None = None  # discovery waits for it

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}/realms/ours"

    def rotate(self) -> None:
        self.key = SigningKey()

    def sign_in(self, address: str, *, as_subject: str = "") -> str:
        """What a person does with the page at `address`; where the browser is sent then."""
        form = urlencode({"subject": as_subject or self.subject}).encode()
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            opener.open(urllib.request.Request(address, data=form), timeout=10)  # noqa: S310  (our own)
        except urllib.error.HTTPError as answer:
            if answer.code == 302:
                return str(answer.headers["Location"])
            raise AssertionError(f"{answer.code} {answer.read().decode()}") from None
        raise AssertionError("no redirect")

    def document(self) -> dict[str, Any]:
        told = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        }
        return told | self.discovery

    def authorize(self, query: dict[str, str]) -> str:
        """What is wrong with the request; empty where nothing is."""
        self.authorizations.append(query)
        wanted = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "redirect_uri": self.back_to,
            "scope": "openid",
            "code_challenge_method": "S256",
        }
        wrong = [name for name, value in wanted.items() if query.get(name) != value]
        short = [name for name in ("state", "nonce", "code_challenge") if len(query.get(name, "")) < 32]
        return " ".join([*wrong, *short])

    def grant(self, query: dict[str, str], *, subject: str) -> str:
        code = secrets.token_urlsafe(16)
        self.grants[code] = Grant(query["nonce"], query["redirect_uri"], query["code_challenge"], subject)
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state'], 'iss': self.issuer})}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Status and answer. A code is good once, whatever comes of it."""
        if self._client(form, authorization) != (CLIENT_ID, CLIENT_SECRET):
            return 401, {"error": "invalid_client"}
        grant = self.grants.pop(form.get("code", ""), None)
        challenge = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if grant is None or form.get("redirect_uri") != grant.redirect_uri or challenge != grant.challenge:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": grant.subject,
            "aud": CLIENT_ID,
            "exp": now + TOKEN_SECONDS,
            "iat": now,
            "auth_time": now,
            "nonce": grant.nonce,
            "email": "dri@example.com",
            "preferred_username": "dri",
            "groups": ["superusers"],
        }
        claims = {name: value for name, value in (claims | self.claims).items() if value is not None}
        return 200, {"access_token": "unused", "token_type": "Bearer", "id_token": (self.make or self.signed)(claims)}

    def signed(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self.key.private, algorithm="RS256", headers={"kid": self.key.kid})

    def _client(self, form: dict[str, str], authorization: str) -> tuple[str, str]:
        kind, _, encoded = authorization.partition(" ")
        if kind != "Basic":
            return form.get("client_id", ""), form.get("client_secret", "")
        name, _, secret = base64.b64decode(encoded).decode().partition(":")
        return unquote_plus(name), unquote_plus(secret)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@contextmanager
def identity_provider(*, back_to: str) -> Iterator[IdentityProvider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            place = self._place()
            if place == "/.well-known/openid-configuration":
                if provider.hold is not None:
                    provider.hold.wait(10)
                self._json(provider.status, provider.document())
            elif place == "/keys":
                self._json(provider.status, {"keys": [provider.key.jwk()]})
            elif place == "/authorize" and not (wrong := provider.authorize(self._query())):
                subject = html.escape(provider.subject)
                self._html(
                    '<form method="post">'
                    f'<input name="subject" value="{subject}" aria-label="Who"><button>Let me in</button></form>'
                )
            else:
                self._json(400, {"error": "invalid_request", "wrong": wrong if place == "/authorize" else place})

        def do_POST(self) -> None:
            place = self._place()
            form = dict(parse_qsl(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()))
            if place == "/token":
                status, told = provider.token(form, self.headers.get("Authorization", ""))
                self._json(status if provider.status == 200 else provider.status, told)
            elif place == "/authorize" and not (wrong := provider.authorize(self._query())):
                self.send_response(302)
                self.send_header("Location", provider.grant(self._query(), subject=form["subject"]))
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self._json(400, {"error": "invalid_request", "wrong": wrong if place == "/authorize" else place})

        def _place(self) -> str:
            path = urlsplit(self.path).path
            provider.asked.append(path)
            return path.removeprefix(urlsplit(provider.issuer).path)

        def _query(self) -> dict[str, str]:
            return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

        def _json(self, status: int, told: dict[str, Any]) -> None:
            self._answer(status, "application/json", json.dumps(told).encode())

        def _html(self, text: str) -> None:
            page = f'<!DOCTYPE html><html lang="en"><title>Provider</title><main><h1>Provider</h1>{text}</main></html>'
            self._answer(200, "text/html", page.encode())

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = IdentityProvider(port=server.server_port, back_to=back_to)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    serving.start()
    yield provider
    server.shutdown()
    server.server_close()
    serving.join()
