from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Collection, Sequence

from console.actions.operator import Operator
from console.actions.publish_evidence import publish_evidence
from console.management.deadletters.arguments import add_json
from console.management.evidence.publications import publication_json, publication_line
from console.management.provider.printing import say, say_json
from evidence.models import Publication
from evidence.publishing.publisher import publish_next
from evidence.store.reads import artifact_of

HELP = (
    "Publish artifacts to EVIDENCE_ENDPOINT: the ops worker sends them, or with --wait this command does. "
    "Also asks again for what failed or was refused. Exit 1 when one of them is refused, failed, or, with --wait, not "
    "published in time."
)
WAIT_SECONDS = 600
LOOK_AGAIN_SECONDS = 0.5
LOST = (Publication.State.REFUSED, Publication.State.FAILED)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("sha256", nargs="+", metavar="SHA256", help="as `evidence list` prints it")
    parser.add_argument("--wait", action="store_true", help="send now, and end when all are settled")
    parser.add_argument(
        "--timeout", type=float, default=WAIT_SECONDS, metavar="SECONDS", help=f"of --wait (default: {WAIT_SECONDS})"
    )
    parser.add_argument("--actor", metavar="NAME", help="whose name goes into the audit log (default: yours)")
    add_json(parser)


def run(*, sha256: Sequence[str], wait: bool, timeout: float, actor: str | None, json: bool, **_: object) -> int:
    operator = Operator.command_line(actor)
    artifacts = [artifact_of(each) for each in dict.fromkeys(sha256)]  # all are known before the first is asked for
    asked = [publish_evidence(operator, artifact=artifact).pk for artifact in artifacts]
    if wait:
        _send_and_wait(asked, deadline=time.monotonic() + timeout)
    rows = list(Publication.objects.filter(pk__in=asked).order_by("pk"))
    say_json({"publications": list(map(publication_json, rows))}) if json else say(*map(publication_line, rows))
    states = {row.state for row in rows}
    return int(bool(states & set(LOST)) or (wait and states != {Publication.State.PUBLISHED}))


def _send_and_wait(asked: Collection[int], *, deadline: float) -> None:
    """Until none waits or time is up. The ops worker may be at work on the same ones; whoever is first has them."""
    waiting = Publication.objects.filter(pk__in=asked, state=Publication.State.WAITING)
    while waiting.exists() and time.monotonic() < deadline:
        if not publish_next(only=asked):
            time.sleep(LOOK_AGAIN_SECONDS)
