from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterator

from django.core.management import CommandError, call_command

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from console.management.errors import UsageWrong
from console.management.gate.evaluate import EXIT, verdict_lines
from console.management.provider.printing import say
from console.rbac.still_true import matrix_still_true
from evidence.audit import Actor
from evidence.bundles.export import export
from evidence.gates.freeze import frozen, sha256_of
from evidence.gates.spec import GateSpec, GateUnknown, gate
from evidence.runs.folders import LATEST, run_folder

HELP = (
    "Everything that a gate asks for, in order: smoke run, matrix of permissions, drill of the way back, the run, the "
    "bundle, its verdict. Exit 0: PASS. 1: FAIL. 2: wrong usage. 3: INCONCLUSIVE."
)
PASS, FAIL, WRONG_USAGE = 0, 1, 2


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("gate", nargs="?", default="a")
    parser.add_argument("--count", type=int, default=30_000, help="sends of the run")
    parser.add_argument("--smoke-count", type=int, default=1_000, help="sends of the smoke run before it")
    parser.add_argument("--rate", type=float, default=1_000.0, help="sends a second, of both")
    parser.add_argument("--target", default="", help="address on this machine; default: the local ingress")
    parser.add_argument("--again", action="store_true", help="probe the matrix of permissions even if it is still true")
    parser.add_argument("--by", metavar="NAME", help="whose run it is, for the audit log; default: who runs this")


def run(
    *,
    gate: str,
    count: int,
    smoke_count: int,
    rate: float,
    target: str,
    by: str | None,
    again: bool = False,
    **_: object,
) -> int:
    spec = _frozen_spec(gate)
    sends = [f"--rate={rate}", *([f"--target={target}"] if target else []), *([f"--by={by}"] if by else [])]
    for name, words in _before(spec, smoke_count, sends, again=again):
        status = _done(name, *words)
        if name == "replay" and status != PASS:  # no long run after a short one that did not hold
            say(f"gate {spec.name}: the smoke run did not pass, and the run was not begun")
            return status
    status = _done("replay", f"--gate={spec.name}", f"--count={count}", *sends)
    if status == WRONG_USAGE:
        return status
    made = export(run_folder(LATEST), actor=Actor.command_line(by), gate_name=spec.name).made
    say(f"bundle {made.sha256}", *verdict_lines(made.verdict))
    return EXIT[made.verdict.outcome]


def _frozen_spec(name: str) -> GateSpec:
    """Runs that no frozen specification comes before prove nothing, so none is begun. Raises UsageWrong."""
    try:
        spec = gate(name)
    except GateUnknown as error:
        raise UsageWrong(str(error)) from error
    found = frozen(name)
    if found is None or found.sha256 != sha256_of(spec):
        first = f"`manage.py gate freeze {name} --reason …`"
        raise UsageWrong(f"gate {name} version {spec.version} is not frozen, and must be before the run: {first}")
    return spec


def _before(spec: GateSpec, smoke_count: int, sends: list[str], *, again: bool) -> Iterator[tuple[str, list[str]]]:
    """What the specification asks for beside the run itself."""
    asked = {each.metric.partition(".")[0] for each in spec.criteria}
    if "rbac" in asked:
        known = None if again else matrix_still_true(now=datetime_of(us=SYSTEM_CLOCK.now_us()))
        if known is None:
            yield "rbac_matrix", []
        else:
            say(f"--- rbac_matrix: that of {known.at:%H:%M:%S} UTC is still true; --again makes another")
    if "rollback" in asked:
        yield "rollback_drill", []
    if "smoke" in asked:
        yield "replay", ["--gate=smoke", f"--count={smoke_count}", *sends]


def _done(name: str, *words: str) -> int:
    """The command's exit status. What it says goes where this says its own."""
    say(f"--- {name} {' '.join(words)}".rstrip())
    try:
        call_command(name, *words, stdout=sys.stdout, stderr=sys.stderr)
    except SystemExit as ended:
        return int(ended.code or PASS)
    except CommandError as error:
        say(f"{name}: {error}")
        return FAIL
    return PASS
