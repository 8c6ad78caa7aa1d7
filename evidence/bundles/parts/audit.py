"""The audit log up to the first seal over the run's entry, as `audit export` writes it, with the seal's checkpoint."""

from __future__ import annotations

from pathlib import Path

from autocom.kernel.canonical_json import NotCanonical
from evidence.audit_chain import ChainHead
from evidence.audit_export import export_lines
from evidence.bundles.errors import NotThere
from evidence.bundles.parts.files import write
from evidence.bundles.run import Run
from evidence.bundles.sealed import sealed_entry
from evidence.log.reads import checkpoint_note
from evidence.models import AuditEntry
from evidence.selectors import READ_AT_ONCE_COUNT, chained

FOLDER = "data/audit"
PATHS = tuple(f"{FOLDER}/{name}" for name in ("entries.jsonl", "start-line.txt", "checkpoint"))


def collect(run: Run, into: Path) -> None:
    sealed = sealed_entry(run)
    last = AuditEntry.objects.filter(number=sealed.last_number).first()
    if last is None:
        raise NotThere(f"audit entry {sealed.last_number} is gone: `manage.py audit verify` says more")
    rows = AuditEntry.objects.filter(number__lte=last.number).order_by("number").iterator(READ_AT_ONCE_COUNT)
    path = into / FOLDER / "entries.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("wb") as file:
            file.writelines(export_lines(map(chained, rows), head=ChainHead(last.number, bytes(last.entry_sha256))))
    except NotCanonical as error:
        path.unlink()  # half a log must not pass for one
        raise NotThere(f"an audit entry was changed ({error}): `manage.py audit verify` says which") from error
    write(into / FOLDER / "start-line.txt", f"{sealed.incarnation.start_line}\n")
    write(into / FOLDER / "checkpoint", checkpoint_note(sealed.seal))
