"""`GET /log/` and `GET /log/keys`: what there is, and with which keys it is signed."""

from __future__ import annotations

from typing import TypedDict

from django.http import HttpRequest, HttpResponse, JsonResponse

from autocom.kernel.clock import us_of
from console.api.log.answers import MINUTE, MOMENT, answer
from console.api.log.problems import allow_only, told_as_problems
from evidence.log.keys import known_keys
from evidence.log.names import LogName
from evidence.log.reads import current_incarnation, last_of
from evidence.models import Seal
from evidence.witnesses.cosign import witness_keys


class LogIndex(TypedDict):
    """`size` 0 and no root while nothing is sealed."""

    log: str
    origin: str | None
    size: int
    root: str | None
    sealed_us: int | None
    links: dict[str, str]


@told_as_problems
def index(request: HttpRequest) -> HttpResponse:
    allow_only(request, "GET", "HEAD")
    response = JsonResponse(
        {
            "logs": [log_index(name) for name in LogName],
            "keys": [key.vkey for key in known_keys()],
            "witnesses": [key.vkey for key in witness_keys()],
            "links": {"keys": "/log/keys"},
        }
    )
    response["Cache-Control"] = MOMENT
    return response


@told_as_problems
def keys(request: HttpRequest) -> HttpResponse:
    """Every verifier key that ever signed, one a line, the newest last."""
    allow_only(request, "GET", "HEAD")
    return answer("".join(f"{key.vkey}\n" for key in known_keys()), kept=MINUTE)


def log_index(name: LogName) -> LogIndex:
    incarnation = current_incarnation(name)
    seal = last_of(incarnation) if incarnation else None
    return {
        "log": name.value,
        "origin": incarnation.origin if incarnation else None,
        "size": seal.tree_size if seal else 0,
        "root": bytes(seal.root).hex() if seal else None,
        "sealed_us": us_of(seal.sealed_at) if seal else None,
        "links": links(name, seal) if seal else {},
    }


def links(name: LogName, seal: Seal) -> dict[str, str]:
    """Addresses with the log's life in them: what they lead to never changes."""
    prefix = f"/log/{name}/{seal.incarnation.token}"
    found = {
        "checkpoint": f"/log/{name}/checkpoint",
        "start": f"{prefix}/start",
        "consistency": f"{prefix}/consistency?old=1&size={seal.tree_size}",
        "tiles": f"{prefix}/tile/",
        "seals": f"{prefix}/seals/00000001.txt",
        "cosignatures": f"/log/{name}/cosignatures",
    }
    if name is LogName.EVENTS:
        found |= {"segments": f"{prefix}/segments/00000001.txt"}
    return found
