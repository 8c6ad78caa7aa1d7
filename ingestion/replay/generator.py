"""The generator process: follows the plan in an open loop and writes down what happened. Imports no Django.

`python -m ingestion.replay.generator CONFIG.json`, one JSON line of progress on stdout about four times a second.
Exit 0: the journal is complete (also after SIGINT or SIGTERM). 2: the input is wrong. 3: nobody answers; nothing sent.
"""

import asyncio
import gc
import json
import signal
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns, time_ns
from typing import Final

from ingestion.replay.config import GeneratorConfig
from ingestion.replay.connections import ConnectionPool
from ingestion.replay.errors import ReplayUsageError, ServiceUnreachableError
from ingestion.replay.journal import JournalWriter
from ingestion.replay.load import Load
from ingestion.replay.requests import prepare

START_DELAY_NS: Final = 50_000_000
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3


def main(arguments: list[str]) -> int:
    try:
        config = GeneratorConfig.read(Path(arguments[0]))
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(generate(config))
    except ReplayUsageError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    except ServiceUnreachableError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_UNREACHABLE
    return 0


def loop_factory() -> Callable[[], AbstractEventLoop]:
    """uvloop where it is installed: it halves what a request costs here."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    make: Callable[[], AbstractEventLoop] = uvloop.new_event_loop
    return make


async def generate(config: GeneratorConfig) -> None:
    """One run. The plan is on disk before the first send. Raises ServiceUnreachableError, and then nothing was sent."""
    prepared = prepare(config)
    header = {
        "run_id": config.run_id,
        "target": config.target.url,
        "path": config.path,
        "provider": config.provider,
        "count": config.count,
        "rate": config.rate,
        "connections": config.connections,
        "duplicates": config.duplicates,
        "conflicts": config.conflicts,
        "poison": config.poison,
        "keys": config.keys,
        "seed": config.seed,
        "is_generated": prepared.is_generated,
        "success_status": config.success_status,
    }
    with JournalWriter(config.journal_path) as journal:
        journal.plan(header, prepared.sends)
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection would stall the loop; what a run allocates it keeps or frees by count
        load = Load(config=config, prepared=prepared, journal=journal, report=write_progress)
        pool = ConnectionPool(target=config.target, count=config.connections, load=load)
        try:
            await pool.open()
        except ServiceUnreachableError:
            config.journal_path.unlink()  # nothing was sent: there is nothing to keep
            raise
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signal_number, load.interrupt)
        start_ns = monotonic_ns() + START_DELAY_NS
        journal.start(start_ns=start_ns, wall_minus_monotonic_ns=time_ns() - monotonic_ns())
        await load.run(start_ns=start_ns)
        pool.close()
        journal.end(load.self_check())


def write_progress(fields: dict[str, object]) -> None:
    """Raises BrokenPipeError when nobody reads any more."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
