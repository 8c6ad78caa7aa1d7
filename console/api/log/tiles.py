"""Tiles and entry bundles as C2SP has them: `tile/<level>/<number>`, `tile/entries/<number>`, `.p/<width>`."""

from __future__ import annotations

import re

from django.http import HttpRequest, HttpResponse

from console.api.log.answers import BYTES, answer, kept_for
from console.api.log.find import newest_seal
from console.api.log.problems import LogProblem, Refused, allow_only, told_as_problems
from evidence.log.names import LogName
from evidence.tiles.ranges import TILE_WIDTH
from evidence.tiles.sealed import entries, tile

ADDRESS = re.compile(
    r"(?P<level>[0-9]|[1-5][0-9]|6[0-3]|entries)/(?P<number>(x[0-9]{3}/){0,5}[0-9]{3})(\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@told_as_problems
def tile_or_entries(request: HttpRequest, *, log: str, address: str, token: str = "") -> HttpResponse:
    allow_only(request, "GET", "HEAD")
    level, number, width = _parts(address)
    seal = newest_seal(log, token)
    if level is None:
        if log != LogName.EVENTS:
            raise Refused(
                LogProblem.LOG_UNKNOWN, "Entries are public for the log events alone: the lines of others name people."
            )
        body = _bundle(entries(seal, number=number, width=width))
    else:
        body = tile(seal, level=level, number=number, width=width)
    return answer(body, kept=kept_for(token), content_type=BYTES)


def _parts(address: str) -> tuple[int | None, int, int]:
    """Level (None: entries), number, width. Raises Refused."""
    found = ADDRESS.fullmatch(address)
    width = int(found["width"] or TILE_WIDTH) if found else 0
    if found is None or (found["width"] and width >= TILE_WIDTH) or _is_padded(found["number"]):
        raise Refused(
            LogProblem.LOG_REQUEST_MALFORMED,
            "This is no address of a tile: it is tile/<level>/<number>, as tile/0/x001/x234/067 or tile/1/000.p/17.",
        )
    level = None if found["level"] == "entries" else int(found["level"])
    return level, int(found["number"].replace("x", "").replace("/", "")), width


def _is_padded(number: str) -> bool:
    """One tile, one address."""
    return number.startswith("x000/")


def _bundle(lines: list[bytes]) -> bytes:
    return b"".join(len(line).to_bytes(2, "big") + line for line in lines)
