"""The journal: what was planned, on disk before the first send, and what became of it, a line at a time.

Lines are JSON objects told apart by `kind`: `header`, `plan` (one a send), `start`, `attempt` (one a request), `end`.
Attempts are flushed about ten times a second and fsynced at the end: a killed generator loses the last tenth, and the
plan tells what it had meant to send.
"""

import json
import os
from collections.abc import Iterable, Mapping
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from ingestion.replay.errors import GeneratorError
from ingestion.replay.history import Attempt, ExpectedEvent, History, PlannedSend, SelfCheck, sends_of

VERSION: Final = 1

# An attempt as the generator holds it: n, attempt, sent_ns, ack_ns, status, body of the answer, error, and, where an
# adapter signs, the digest of the body as sent.
type RawAttempt = tuple[int, int, int, int, int, bytes, str, str]


class JournalWriter:
    """Owns the file from the plan to the end line. A journal is never overwritten: FileExistsError."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("x", encoding="utf-8", buffering=1 << 20)

    def plan(self, header: Mapping[str, Any], sends: Iterable[PlannedSend]) -> None:
        """True afterwards: header and plan are on disk."""
        self._line("header", {"version": VERSION, **header})
        self._file.writelines(_plan_line(send) for send in sends)
        self._sync()

    def start(self, *, start_ns: int, wall_minus_monotonic_ns: int) -> None:
        self._line("start", {"monotonic_ns": start_ns, "wall_minus_monotonic_ns": wall_minus_monotonic_ns})

    def attempts(self, attempts: Iterable[RawAttempt]) -> None:
        """Handed to the operating system when this returns, not yet on disk."""
        self._file.writelines(map(_attempt_line, attempts))
        self._file.flush()

    def end(self, figures: Mapping[str, Any]) -> None:
        """True afterwards: the whole journal is on disk and closed."""
        self._line("end", figures)
        self._sync()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _line(self, kind: str, fields: Mapping[str, Any]) -> None:
        self._file.write(json.dumps({"kind": kind, **fields}) + "\n")

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


def _plan_line(send: PlannedSend) -> str:
    duplicate_of = "null" if send.duplicate_of is None else send.duplicate_of
    events = "" if send.events is None else f',"events":{json.dumps(send.events)}'
    poison = ',"is_poison":true' if send.is_poison else ""
    return (
        f'{{"kind":"plan","n":{send.n},"message_id":{quoted(send.message_id)},"event_type":{quoted(send.event_type)},'
        f'"ordering_key":{quoted(send.ordering_key)},"body_sha256":"{send.body_sha256}","body_bytes":{send.body_bytes},'
        f'"intended_ns":{send.intended_ns},"duplicate_of":{duplicate_of}{events}{poison}}}\n'
    )


def _attempt_line(raw: RawAttempt) -> str:
    n, attempt, sent_ns, ack_ns, status, body, error, body_sha256 = raw
    sent = f',"body_sha256":"{body_sha256}"' if body_sha256 else ""
    return (
        f'{{"kind":"attempt","n":{n},"attempt":{attempt},"sent_ns":{sent_ns},"ack_ns":{ack_ns},"status":{status},'
        f'"answer":{quoted(body.decode("utf-8", "replace"))},"error":{quoted(error)}{sent}}}\n'
    )


def read_journal(path: Path) -> History:
    """The run in this file. A last line cut off by a crash is left out. Raises GeneratorError if it cannot be read."""
    header: dict[str, Any] = {}
    planned: list[PlannedSend] = []
    attempts: list[Attempt] = []
    start: dict[str, Any] = {}
    self_check: SelfCheck | None = None
    for fields in _lines(path):
        match fields.pop("kind"):
            case "attempt":
                attempts.append(Attempt(**fields, success_status=header.get("success_status", 0)))
            case "plan":
                planned.append(_planned(fields))
            case "header":
                header = fields
            case "start":
                start = fields
            case "end":
                self_check = SelfCheck(**fields)
    if header.get("version") != VERSION:
        raise GeneratorError(f"{path}: not a journal of version {VERSION}")
    start_ns = int(start.get("monotonic_ns", 0))
    header["wall_minus_monotonic_ns"] = start.get("wall_minus_monotonic_ns", 0)
    sends = sends_of(planned, attempts, start_ns=start_ns, is_open_loop=bool(header["rate"]))
    return History(header=header, sends=sends, start_ns=start_ns, self_check=self_check)


def _planned(fields: dict[str, Any]) -> PlannedSend:
    if "events" in fields:
        fields["events"] = tuple(ExpectedEvent(*event) for event in fields["events"])
    return PlannedSend(**fields)


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith("\n"):
                return
            try:
                yield json.loads(line)
            except ValueError as error:
                raise GeneratorError(f"{path}: line {number} cannot be read: {error}") from error
