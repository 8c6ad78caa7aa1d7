"""What a replay leaves in its folder, for others to recompute: journal, samples, histogram, summary."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ingestion.replay.errors import ReplayUsageError
from ingestion.replay.figures import ack_latencies_us
from ingestion.replay.histogram_log import histogram_of, write_log
from ingestion.replay.history import History, Send
from ingestion.replay.report import Report, summary

JOURNAL_NAME: Final = "journal.jsonl"
NS_PER_SECOND: Final = 1_000_000_000
SAMPLE_COLUMNS: Final = (
    "n",
    "message_id",
    "event_type",
    "ordering_key",
    "body_sha256",
    "duplicate_of",
    "intended_ns",
    "sent_ns",
    "ack_ns",
    "latency_us",
    "service_us",
    "attempts",
    "first_status",
    "last_status",
    "error",
    "accepted",
    "request_id",
    "receipt",
)


def prepare_folder(folder: Path) -> Path:
    """The path for the journal in an existing folder without one. Raises ReplayUsageError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReplayUsageError(f"--out {folder}: cannot be made: {error.strerror}") from error
    journal_path = folder / JOURNAL_NAME
    if journal_path.exists():
        raise ReplayUsageError(f"--out {folder}: holds the journal of an earlier replay; give another folder")
    return journal_path


def write_files(folder: Path, report: Report) -> None:
    """`samples.csv` (one row a planned send), `ack.hlog` (HDR log, microseconds) and `summary.json`."""
    history = report.result.history
    with (folder / "samples.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(SAMPLE_COLUMNS)
        writer.writerows(_sample_rows(history))
    _write_histogram(folder / "ack.hlog", history)
    (folder / "summary.json").write_text(json.dumps(summary(report), indent=2, allow_nan=False) + "\n")


def _sample_rows(history: History) -> Iterator[tuple[Any, ...]]:
    for send in history.sends:
        yield (*send.planned[:5], send.planned.duplicate_of, send.intended_ns, *_outcome(send))


def _outcome(send: Send) -> tuple[Any, ...]:
    """From `sent_ns` on. Times are those of the first attempt: the one that is judged."""
    if not send.attempts:
        return ("", "", "", "", 0, "", "", "unsent", False, "", "")
    first, last = send.attempts[0], send.attempts[-1]
    return (
        first.sent_ns,
        first.ack_ns,
        (first.ack_ns - send.intended_ns) // 1_000,
        (first.ack_ns - first.sent_ns) // 1_000,
        len(send.attempts),
        first.status,
        last.status,
        first.error,
        send.is_accepted,
        send.answer.request_id,
        send.answer.receipt,
    )


def _write_histogram(path: Path, history: History) -> None:
    write_log(
        path,
        histogram_of(ack_latencies_us(history.sends)),
        what=f"ack latency from the intended moment, microseconds, replay {history.run_id}",
        start_seconds=history.wall_ns(history.start_ns) / NS_PER_SECOND,
        end_seconds=history.wall_ns(history.end_ns) / NS_PER_SECOND,
    )
