"""Run the generator as a process of its own and read what it wrote. Knows nothing of any database."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from ingestion.replay.config import GeneratorConfig
from ingestion.replay.errors import GeneratorError, ReplayUsageError, ServiceUnreachableError
from ingestion.replay.figures import Figures, figures_of
from ingestion.replay.generator import EXIT_UNREACHABLE, EXIT_USAGE
from ingestion.replay.history import History
from ingestion.replay.journal import read_journal

PROJECT_ROOT: Final = Path(__file__).resolve().parents[2]
# Variables that this process needs and the generator must not see: it judges the service from outside.
WITHHELD_VARIABLES: Final = ("DJANGO_SETTINGS_MODULE", "SECRET_KEY", "DB_URL", "REDIS_URL", "SENTRY_DSN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is. Percentiles of the acks so far, None before the first one."""

    planned: int
    sent: int
    acked: int
    rejected: int
    retried: int
    p50_us: int | None
    p95_us: int | None
    p99_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorResult:
    """A finished run: its journal, read back, and its figures."""

    journal_path: Path
    history: History
    figures: Figures


def run_generator(config: GeneratorConfig, *, on_progress: Callable[[Progress], None]) -> GeneratorResult:
    """True afterwards: the journal is complete. An interrupt (KeyboardInterrupt) ends the sending, not the reading.

    Raises ReplayUsageError for an input that cannot be replayed and ServiceUnreachableError when nobody answers, both
    with nothing sent; GeneratorError when the process died without a journal to judge.
    """
    with tempfile.TemporaryDirectory(prefix="autocom-replay-") as folder:
        config_path = Path(folder) / "config.json"
        config.write(config_path)
        complaints_path = Path(folder) / "complaints"
        with complaints_path.open("w") as complaints:
            status = _watch(config_path, complaints=complaints, on_progress=on_progress)
        complaint = complaints_path.read_text(errors="replace").strip()
    if status == EXIT_USAGE:
        raise ReplayUsageError(complaint)
    if status == EXIT_UNREACHABLE:
        raise ServiceUnreachableError(complaint)
    if status and not config.journal_path.exists():
        raise GeneratorError(f"the generator ended with exit status {status}: {complaint[-500:]}")
    history = read_journal(config.journal_path)
    return GeneratorResult(journal_path=config.journal_path, history=history, figures=figures_of(history))


def _watch(config_path: Path, *, complaints: IO[str], on_progress: Callable[[Progress], None]) -> int:
    environ = {name: value for name, value in os.environ.items() if name not in WITHHELD_VARIABLES}
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PROJECT_ROOT), environ.get("PYTHONPATH")]))
    with subprocess.Popen(
        [sys.executable, "-m", "ingestion.replay.generator", str(config_path)],
        stdout=subprocess.PIPE,
        stderr=complaints,
        stdin=subprocess.DEVNULL,
        env=environ,
        text=True,
        start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the other in order
    ) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        try:
            _read_progress(process.stdout, on_progress)
        except KeyboardInterrupt:
            process.terminate()
            _read_progress(process.stdout, on_progress)
        except BaseException:
            process.kill()
            raise
        return process.wait()


def _read_progress(lines: Iterable[str], on_progress: Callable[[Progress], None]) -> None:
    for line in lines:
        with contextlib.suppress(json.JSONDecodeError):  # a line cut off by a crash
            on_progress(Progress(**json.loads(line)))
