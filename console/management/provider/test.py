"""A signed test event of a provider: as a command to paste, or sent at once."""

from __future__ import annotations

import urllib.error
import urllib.request
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime
from urllib.parse import urlsplit

from django.conf import settings

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from console.management.provider.printing import say
from evidence.audit import Actor
from evidence.sends import guard_external_send
from ingestion.provider_book import BOOK, DEFAULT, KnownProvider
from ingestion.provider_changes.errors import ProviderChangeRefused, ProviderMissing
from ingestion.receive import base_url
from ingestion.signed_curl import CannotSign, SignedRequest, as_curl, first_webhook, signed_request

HELP = (
    "Print a signed curl that sends a test event as this provider would, ready to paste; with --send, send it and "
    "print the answer. The event is stored like any other."
)
ANSWER_SECONDS = 15


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--target", type=_target, help="address of the ingress; default: the local one")
    parser.add_argument("--send", action="store_true", help="send it now; exit 1 when the answer is no 2xx")


def run(*, name: str, target: str | None, send: bool, **_: object) -> int:
    ingress = target or f"http://127.0.0.1:{settings.AUTOCOM.ingress_port}"
    if name == DEFAULT and not send:
        say(first_webhook(ingress).rstrip("\n"))
        return 0
    now_us = SYSTEM_CLOCK.now_us()
    request = _signed(_known(name), now_us=now_us)
    address = f"{ingress}/webhooks/{name}"
    if send:
        return _send(request, address=address)
    _say_curl(request, address=address, now=datetime_of(us=now_us))
    return 0


def _known(name: str) -> KnownProvider:
    BOOK.refresh()
    if (provider := BOOK.named(name)) is None:
        raise ProviderMissing(name)
    return provider


def _signed(provider: KnownProvider, *, now_us: int) -> SignedRequest:
    try:
        return signed_request(provider, url=f"{base_url()}/webhooks/{provider.name}", now_us=now_us)
    except CannotSign as error:
        raise ProviderChangeRefused(
            f"{error}. Send a test event from the provider's own pages instead, and look at "
            f"`manage.py provider show {provider.name}`: its secret's last use must move"
        ) from None


def _say_curl(request: SignedRequest, *, address: str, now: datetime) -> None:
    say(as_curl(request, address=address))
    say(
        f"# signed at {now.astimezone(UTC):%H:%M:%S} UTC: where the scheme signs the time, print a new one after some "
        "minutes"
    )
    if any(name.lower() == "authorization" for name in request.headers):
        say("# the command holds the provider's credential itself: do not share it")


def _send(request: SignedRequest, *, address: str) -> int:
    guard_external_send(address, purpose="provider test", actor=Actor.command_line())
    post = urllib.request.Request(address, data=request.body, headers=dict(request.headers), method="POST")  # noqa: S310
    try:
        with urllib.request.urlopen(post, timeout=ANSWER_SECONDS) as answer:  # noqa: S310  (http or https: `_target`)
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    except OSError as error:
        raise ProviderChangeRefused(f"{address} does not answer: {getattr(error, 'reason', error)}") from None
    say(str(status), body.decode("utf-8", "replace"))
    return 0 if 200 <= status < 300 else 1


def _target(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise ArgumentTypeError(f"{text!r} is no address of an ingress: write it as http://127.0.0.1:8001")
    return text.rstrip("/")
