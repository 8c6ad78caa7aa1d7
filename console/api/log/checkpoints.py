"""Checkpoints with what witnesses added, proofs between them, and the seals in which they were made."""

from __future__ import annotations

import base64

from django.http import HttpRequest, HttpResponse

from autocom.kernel.digest import sha256
from console.api.log.answers import MINUTE, MOMENT, answer, kept_for
from console.api.log.find import incarnation_named, newest_seal, seal_numbered, seal_of_size, whole_number
from console.api.log.problems import LogProblem, Refused, allow_only, told_as_problems
from evidence.log.files import segment_text
from evidence.log.names import LogName
from evidence.log.reads import checkpoint_note, leaf_lines
from evidence.models import Cosignature, Seal
from evidence.tiles.sealed import NotConsistent
from evidence.tiles.sealed import consistency as consistency_path


@told_as_problems
def checkpoint(request: HttpRequest, *, log: str, token: str = "") -> HttpResponse:
    """The newest signed note, with its cosignatures."""
    allow_only(request, "GET", "HEAD")
    return answer(cosigned_note(newest_seal(log, token)), kept=MOMENT)


@told_as_problems
def checkpoint_of_size(request: HttpRequest, *, log: str, size: str, token: str = "") -> HttpResponse:
    allow_only(request, "GET", "HEAD")
    return answer(cosigned_note(seal_of_size(log, token, whole_number(size, "the size"))), kept=MINUTE)


@told_as_problems
def start(request: HttpRequest, *, log: str, token: str = "") -> HttpResponse:
    """The first leaf: which head of which log came before this one."""
    allow_only(request, "GET", "HEAD")
    return answer(f"{incarnation_named(log, token).start_line}\n", kept=kept_for(token))


@told_as_problems
def consistency(request: HttpRequest, *, log: str, token: str = "") -> HttpResponse:
    """The proof from `old` leaves to `size`, from below, a hash a line in base64; empty where they are equal."""
    allow_only(request, "GET", "HEAD")
    old_size = whole_number(request.GET.get("old"), "old")
    size = whole_number(request.GET.get("size"), "size")
    path = consistency_path(seal_of_size(log, token, size), old_size=old_size)
    return answer("".join(f"{base64.b64encode(each).decode()}\n" for each in path), kept=kept_for(token))


@told_as_problems
def seal(request: HttpRequest, *, log: str, number: str, token: str = "") -> HttpResponse:
    allow_only(request, "GET", "HEAD")
    return answer(seal_numbered(log, token, whole_number(number, "the number")).text, kept=kept_for(token))


@told_as_problems
def segment(request: HttpRequest, *, log: str, number: str, token: str = "") -> HttpResponse:
    """The lines that a seal entered, as they were sealed, or none of them."""
    allow_only(request, "GET", "HEAD")
    if log != LogName.EVENTS:
        raise Refused(
            LogProblem.LOG_UNKNOWN, "Segments are public for the log events alone: the lines of others name people."
        )
    found = seal_numbered(log, token, whole_number(number, "the number"))
    text = segment_text(leaf_lines(found.incarnation, found.first_index, found.tree_size))
    if sha256(text) != bytes(found.segment_sha256):
        raise NotConsistent(
            f"the rows are not what seal {found.number} was made over: `manage.py audit verify` says where"
        )
    return answer(text, kept=kept_for(token))


def cosigned_note(seal: Seal) -> str:
    """The checkpoint as it was signed, and a line for each witness that countersigned it."""
    cosignatures = Cosignature.objects.filter(origin=seal.incarnation.origin, tree_size=seal.tree_size).order_by("id")
    return checkpoint_note(seal) + "".join(f"{line}\n" for line in cosignatures.values_list("line", flat=True))
