"""The table as Markdown: what is done, who finds it, by which name. `docs/tamper.md` has it between its marks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby

from tests.tamper.cases import tamperings
from tests.tamper.table import Tampering

HEAD = ("| what is done | found by | as |", "|---|---|---|")
HEAD_UNSEEN = ("| what is done | why nobody sees it |", "|---|---|")


def expected(each: Tampering) -> str:
    return " or ".join(sorted(each.faults))


def matrix(outcome: Callable[[Tampering], str] = expected) -> Iterator[str]:
    """`outcome`: what to say of a tampering that is to be found."""
    seen = [each for each in tamperings() if not each.why_unseen]
    for group, members in groupby(seen, key=lambda each: each.group):
        yield from ("", f"### {group[0].upper()}{group[1:]}", "", *HEAD)
        for each in members:
            yield f"| {each.name} | `{each.finder}` | {outcome(each)} |"


def unseen() -> Iterator[str]:
    yield from HEAD_UNSEEN
    for each in tamperings():
        if each.why_unseen:
            yield f"| {each.name} | {each.why_unseen} |"
