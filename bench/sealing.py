"""What proof costs: throughput with leaf hashing and sealing, and without both, alternating on the same servers.

    python -m bench.sealing [--rounds 5] [--count 30000] [--json FILE]

Both ways take the same events as fast as 64 connections send them; a round's figure is events a second from the first
POST to the last commit. "Without" has no signing key, so the sealer does nothing, and a constant in place of each
leaf's hash (bench/unsealed). Medians are compared, and the CPU of what the two ways have in common is shown beside.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from autocom.kernel.signing_keys import new_signing_key
from bench.compare import Measured, measure
from bench.stacks import ROOT, Autocom, Servers, own_servers

SHARE_AT_MOST = 0.05
WITH, WITHOUT = "with proof", "without proof"


@dataclass(frozen=True, slots=True)
class Unproved(Autocom):
    """autocom that hashes no leaf and seals nothing."""

    name: str = WITHOUT

    def environ(self, servers: Servers) -> Mapping[str, str]:
        path = os.pathsep.join(filter(None, [str(ROOT / "bench" / "unsealed"), os.environ.get("PYTHONPATH", "")]))
        return {**Autocom.environ(self, servers), "LOG_SIGNING_KEY": "", "PYTHONPATH": path}


def run(*, rounds: int, count: int) -> list[Measured]:
    stacks: list[Autocom] = [Autocom(name=WITH, signing_key=new_signing_key()), Unproved()]
    found = []
    with own_servers(stacks[:1]) as servers:
        for number in range(rounds):
            for stack in stacks if number % 2 == 0 else reversed(stacks):
                measured = measure(stack, servers, what="flat out", rate=0, count=count, folder=servers.base)
                found.append(measured)
                print(line_of(measured), flush=True)
    return found


def line_of(measured: Measured) -> str:
    cpu = ", ".join(f"{name} {seconds:.1f}" for name, seconds in measured.cpu_seconds.items())
    return f"{measured.stack:<14} {rate_of(measured):8,.0f} events/s   CPU s: {cpu}"


def rate_of(measured: Measured) -> float:
    return measured.events / measured.first_post_to_last_commit_seconds


def verdict(found: Sequence[Measured]) -> tuple[str, bool]:
    rates = {way: statistics.median(rate_of(each) for each in found if each.stack == way) for way in (WITH, WITHOUT)}
    cpu = {
        way: statistics.median(sum(each.cpu_seconds.values()) / each.events for each in found if each.stack == way)
        for way in (WITH, WITHOUT)
    }
    share = 1 - rates[WITH] / rates[WITHOUT]
    told = (
        f"medians: {rates[WITH]:,.0f} events/s with proof, {rates[WITHOUT]:,.0f} without: it costs {share:.1%} of the "
        f"throughput (at most {SHARE_AT_MOST:.0%} is allowed); CPU an event {cpu[WITH] * 1e6:.0f} and "
        f"{cpu[WITHOUT] * 1e6:.0f} us, all processes together"
    )
    return told, share <= SHARE_AT_MOST


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=30_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = run(rounds=options.rounds, count=options.count)
    told, is_cheap = verdict(found)
    print(f"\n{told}")
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in found], indent=1))
    return 0 if is_cheap else 1


if __name__ == "__main__":
    sys.exit(main())
