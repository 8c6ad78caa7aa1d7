"""`manage.py replay`: a planned load, a reconciliation with the database and a verdict."""

import random
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, override

from django.core.management.base import CommandParser
from django.db import Error

from autocom.kernel.errors import AutocomError
from evidence.audit import Actor
from evidence.gates.spec import gate_names
from evidence.models import ReplayOrder
from evidence.runs.configure import generator_config, known_gate
from evidence.runs.finish import keep_run
from evidence.runs.folders import runs_root
from evidence.runs.orders import settle
from ingestion.management.with_examples import WithExamples
from ingestion.provider_book import DEFAULT
from ingestion.replay.config import GeneratorConfig
from ingestion.replay.errors import ReplayError, ReplayUsageError
from ingestion.replay.events import new_run_id
from ingestion.replay.files import JOURNAL_NAME, prepare_folder
from ingestion.replay.progress import ProgressLine
from ingestion.replay.recording import read_recording
from ingestion.replay.report import Report, as_json, as_text
from ingestion.replay.trial import replay
from ingestion.replay.verdict import GATE_A

EXIT_USAGE = 2
EXIT_INCONCLUSIVE = 3


class Command(WithExamples):
    help = (
        "Send a planned load of signed webhooks to the service on this machine, reconcile what it promised with what "
        "PostgreSQL holds, and judge the run. Exit 0: PASS. 1: FAIL. 2: wrong usage. 3: INCONCLUSIVE."
    )
    examples = (
        "replay --count 30000 --rate 1000 --gate a",
        "replay --provider shop --input recorded.ndjson --count 200 --duplicates 0",
    )
    requires_system_checks = []

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--count", type=int, default=30_000, help="sends, deliberate duplicates included")
        parser.add_argument("--rate", type=float, default=1_000.0, help="sends a second; 0: as fast as possible")
        parser.add_argument("--connections", type=int, default=64)
        parser.add_argument("--provider", default=DEFAULT, help="whose webhooks; stored secrets sign them")
        parser.add_argument("--keys", type=int, default=500, help="ordering keys; some are much busier than others")
        parser.add_argument("--duplicates", type=float, default=0.02, help="share of sends that repeat an earlier one")
        parser.add_argument(
            "--conflicts", type=float, default=0.0, help="share of sends that bring a known identity with another body"
        )
        parser.add_argument("--poison", type=float, default=0.0, help="share of events that PostgreSQL cannot hold")
        parser.add_argument("--seed", type=int, default=1, help="same seed and run: same bytes at the same moments")
        parser.add_argument("--target", default="", help="address on this machine; default: the local ingress")
        parser.add_argument("--input", type=Path, default=None, help="NDJSON file of recorded webhooks to send instead")
        parser.add_argument(
            "--signing-key-file",
            type=Path,
            default=None,
            help="private key to sign with, for a provider of which only the public one is stored",
        )
        parser.add_argument("--gate", default=GATE_A, help=f"what the run is for: {', '.join(gate_names())}")
        parser.add_argument(
            "--out",
            type=Path,
            default=None,
            help="folder for journal, samples, histograms, summary and environment; default: EVIDENCE_ROOT/runs/<run>",
        )
        parser.add_argument("--no-files", action="store_true", help="leave no folder: no bundle can be made of the run")
        parser.add_argument("--by", metavar="NAME", help="whose run it is, for the audit log; default: who runs this")
        parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
        parser.add_argument(
            "--order", type=int, metavar="NUMBER", help="run what the console's order of this number asks"
        )

    @override
    def handle(self, *_: object, **options: Any) -> None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the sending, not the accounting
        if options["order"] is not None:
            sys.exit(_settled(options["order"]))
        try:
            with tempfile.TemporaryDirectory(prefix="autocom-replay-") as scratch:
                sys.exit(self._run(options, scratch=Path(scratch)))
        except ReplayUsageError as error:
            self._refuse(error, status=EXIT_USAGE)
        except ReplayError as error:
            self._refuse(error, status=EXIT_INCONCLUSIVE)

    def _run(self, options: dict[str, Any], *, scratch: Path) -> int:
        gate = known_gate(options["gate"])
        if options["out"] and options["no_files"]:
            raise ReplayUsageError("--out and --no-files contradict each other: give one of them")
        run_id = new_run_id(now=datetime.now(tz=UTC), rng=random.SystemRandom())
        config = _config(options, run_id=run_id, journal_path=scratch / JOURNAL_NAME)
        if config.input_path:
            read_recording(config.input_path)  # refused before anything else is touched
        folder = None if options["no_files"] else options["out"] or runs_root() / run_id
        is_new = folder is not None and not folder.exists()
        if folder:
            config = _config(options, run_id=run_id, journal_path=prepare_folder(folder))
        line = ProgressLine(sys.stderr)
        try:
            report = replay(config, gate=gate, on_progress=line)
        except ReplayError:
            if folder and is_new and not config.journal_path.exists():
                folder.rmdir()  # nothing was sent: there is no run
            raise
        line.end()
        self._keep(folder, report, actor=Actor.command_line(options["by"]))
        self.stdout.write(as_json(report) if options["json"] else as_text(report))
        if folder and not options["json"]:
            self.stdout.write(f"Files: {folder}")
        return report.exit_code

    def _keep(self, folder: Path | None, report: Report, *, actor: Actor) -> None:
        """A run is judged even where it cannot be recorded: then it is said, and no bundle can be complete."""
        try:
            keep_run(folder, report, actor=actor)
        except (Error, AutocomError) as error:
            self.stderr.write(f"replay: the audit log has no entry of this run: {str(error).partition('\n')[0]}")

    def _refuse(self, error: ReplayError, *, status: int) -> None:
        self.stderr.write(f"replay: {error}")
        sys.exit(status)


def _settled(number: int) -> int:
    try:
        settled = settle(number)
    except ReplayOrder.DoesNotExist:
        sys.stderr.write(f"replay: --order {number}: there is no such order\n")
        return EXIT_USAGE
    return 0 if settled.state == ReplayOrder.State.DONE else EXIT_INCONCLUSIVE


def _config(options: dict[str, Any], *, run_id: str, journal_path: Path) -> GeneratorConfig:
    names = ("count", "rate", "connections", "keys", "duplicates", "conflicts", "poison", "seed")
    return generator_config(
        run_id=run_id,
        journal_path=journal_path,
        provider=options["provider"],
        target=options["target"],
        input_path=options["input"],
        signing_key_file=options["signing_key_file"],
        load={name: options[name] for name in names},
    )
