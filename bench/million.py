"""A history of a million events, sealed and then verified whole: how long, how much memory, and no finding.

    python -m bench.million [--events 1000000]

Every delivery is signed, appended by the real script and committed by the real drain, with repetitions, conflicts,
poison and deliveries of several events among them; the real sealer seals; then `manage.py audit verify` runs in a
process of its own, whose time and highest memory are printed with what it found. Servers of its own, gone afterwards.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from itertools import batched
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROUND_COUNT = 2_000  # good events sent before the lanes are drained


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    options = parser.parse_args()

    import django

    import tests.support.servers  # noqa: F401  (servers of this run alone, before Django reads its settings)

    django.setup()
    logging.disable(logging.CRITICAL)
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    fill(options.events)
    seal()
    return verify()


def fill(count: int) -> None:
    from ingestion.buffer.store import lane_buffer
    from ingestion.models import Batch, Event
    from tests.support.history import Sender, drain_all, mixture

    sender, begin = Sender(lane_buffer()), time.monotonic()
    for bodies in batched(mixture(name="million", count=count), ROUND_COUNT):
        for body in bodies:
            sender.send(body)
        drain_all(sender.buffer)
    seconds = time.monotonic() - begin
    print(f"filled: {Event.objects.count():,} events in {Batch.objects.count():,} batches, {seconds:.0f} s", flush=True)


def seal() -> None:
    from tests.support.history import seal_logs

    begin, cpu = time.monotonic(), time.process_time()
    leaf_count = seal_logs()
    wall, used = time.monotonic() - begin, time.process_time() - cpu
    print(f"sealed: {leaf_count:,} leaves in {wall:.1f} s, {used:.1f} s of CPU", flush=True)


def verify() -> int:
    """The command's exit code."""
    begin = time.monotonic()
    environ = {**os.environ, "EVIDENCE_ROOT": str(_evidence_root())}
    command = [sys.executable, str(ROOT / "manage.py"), "audit", "verify", "--json"]
    with tempfile.TemporaryFile() as out, subprocess.Popen(command, env=environ, stdout=out) as process:
        _, status, used = os.wait4(process.pid, 0)  # of this process alone: the servers were children too
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        told = json.loads(out.read() or b'{"verdict": "none: it failed"}')
    wall = time.monotonic() - begin
    print(
        f"verified: {told['verdict']}, exit {process.returncode}, {wall:.1f} s,"
        f" CPU {used.ru_utime + used.ru_stime:.1f} s, at most {used.ru_maxrss / 1024:.0f} MiB of memory"
    )
    print(json.dumps(told, indent=1))
    return process.returncode


def _evidence_root() -> Path:
    from django.conf import settings

    root: Path = settings.AUTOCOM.evidence_root
    return root


if __name__ == "__main__":
    sys.exit(main())
