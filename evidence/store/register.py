"""Who brought an artifact, under which name, why."""

from __future__ import annotations

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.audit import Act, Actor, record
from evidence.models import Artifact, Upload

NAME_LIMIT_CHARS = 255
NOTE_LIMIT_CHARS = 2_000


def register(artifact: Artifact, *, name: str, actor: Actor, note: str = "") -> Upload:
    """On record with its audit entry, in the caller's transaction. The same from the same again is no new act.

    Raises OutsideTransaction and AuditLogBusy.
    """
    said = {"name": name_shown(name) or artifact.sha256, "note": _printable(note.strip())[:NOTE_LIMIT_CHARS]}
    who = {"actor_kind": actor.kind.value, "actor": actor.name}
    if before := artifact.uploads.filter(**said, **who).first():
        return before
    upload = Upload.objects.create(artifact=artifact, uploaded_at=datetime_of(us=SYSTEM_CLOCK.now_us()), **said, **who)
    facts = {"name": upload.name, "size_bytes": artifact.size_bytes, "media_type": artifact.media_type}
    record(Act.ARTIFACT_UPLOADED, actor=actor, subject=f"artifact {artifact.sha256}", reason=upload.note, facts=facts)
    return upload


def name_shown(name: str) -> str:
    """The last part of what the sender called it. Never a path here, and not misread by a person either."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    shown = " ".join(_printable(last).split())
    return "" if set(shown) <= {"."} else shown[:NAME_LIMIT_CHARS]


def _printable(text: str) -> str:
    """Lines stay; what turns text round or hides does not."""
    return "".join(char for char in text if char.isprintable() or char in "\n\t")
