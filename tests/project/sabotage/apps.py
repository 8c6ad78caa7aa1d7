"""An app that breaks the running service in a chosen place, with an error that tells everything it should not."""

from __future__ import annotations

import os
from typing import Any, NoReturn

from django.apps import AppConfig
from django.conf import settings
from django.http import HttpRequest

RECEIPT = "acr1 01890000-0000-7000-8000-000000000000 3 1 1 " + "ab" * 32 + " 1795439432793424 dd3610d5 " + "cd" * 32


class SpilledError(Exception):
    """An error of the careless kind."""


def spill(*found: object) -> NoReturn:
    environment = settings.AUTOCOM
    secrets = (environment.secret_key, environment.webhook_bearer_key, environment.webhook_hmac_secret)
    words = " ".join(map(str, (*found, *secrets, RECEIPT)))
    raise SpilledError(f"cannot go on with {words}\nDETAIL: {found}")


def broken_view(request: HttpRequest) -> NoReturn:
    spill(dict(request.headers), request.get_full_path(), request.COOKIES)


def broken_acceptance(_: Any, inbound: Any, **__: Any) -> NoReturn:
    spill(inbound.body, dict(inbound.headers))


def broken_settle(entries: Any, **_: Any) -> NoReturn:
    spill(entries[0].payload, entries[0].delivery)


class SabotageConfig(AppConfig):
    name = "tests.project.sabotage"

    def ready(self) -> None:
        from autocom import health
        from ingestion import drain, receive

        module, name, broken = {
            "page": (health, "metrics", broken_view),
            "accept": (receive, "acceptance_of", broken_acceptance),
            "commit": (drain, "settle", broken_settle),
        }[os.environ["SABOTAGE"]]
        getattr(module, name)  # so that a renamed function fails the start instead of breaking nothing
        setattr(module, name, broken)
