"""The account of one gate run: a ledger of its own, computed from its journal and the objectives alone.

Counted at the sender, from the moment at which it meant to send. Nothing in it can be corrected.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from evidence.budget.arithmetic import Counts, balance, budget_total, burn_rate, decimal, remaining_pct
from evidence.models import BudgetEntry
from evidence.slo.objective import Slo, Source
from evidence.slo.shipped import objectives
from ingestion.replay.history import History, Send

LEDGER, OBJECTIVES = "data/budget/ledger.csv", "data/budget/slo.yaml"
COLUMNS = (
    *("entry", "slo", "slo_version", "account", "kind", "window_from", "window_to", "valid", "good", "bad", "target"),
    *("budget_total", "consumed", "balance_after", "remaining_pct", "burn_rate", "causes", "sends"),
)
SENDS_NAMED_COUNT = 20
SLOW = "slow"
NS_PER_US = 1_000
NS_PER_SECOND = 1_000_000_000
MINUTE = timedelta(minutes=1)
Kind = BudgetEntry.Kind


@dataclass(slots=True, kw_only=True)
class Minute:
    """What was sent in it. `causes` say why sends were bad, `sends` are their numbers in the journal."""

    valid: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    sends: list[int] = field(default_factory=list)

    @property
    def counts(self) -> Counts:
        return Counts(valid=self.valid, bad=self.causes.total())


def write(history: History, into: Path) -> None:
    """`ledger.csv` and the `slo.yaml` that it was computed by, in `into`. Raises SloInvalid, OSError."""
    into.mkdir(parents=True, exist_ok=True)
    (into / Path(OBJECTIVES).name).write_bytes(objectives().text)
    told = io.StringIO(newline="")
    writer = csv.writer(told, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, row in enumerate(_rows(history), start=1):
        writer.writerow((number, *row))
    (into / Path(LEDGER).name).write_text(told.getvalue(), encoding="utf-8")


def _rows(history: History) -> Iterator[Sequence[object]]:
    for slo in objectives().slos.values():
        if slo.source is not Source.END_TO_END:  # of commits, and a journal knows of none
            yield from _account(history, slo)


def _account(history: History, slo: Slo) -> Iterator[Sequence[object]]:
    minutes = minutes_of(history, slo)
    begin, end = min(minutes, default=None), max(minutes, default=None)
    if begin is None or end is None:
        return
    so_far = Counts()
    yield _row(history, slo, Kind.OPEN, begin, end + MINUTE, Minute(), so_far)
    for at, minute in sorted(minutes.items()):
        so_far += minute.counts
        yield _row(history, slo, Kind.BURN, at, at + MINUTE, minute, so_far)
    yield _row(history, slo, Kind.CLOSE, begin, end + MINUTE, Minute(), so_far)


def minutes_of(history: History, slo: Slo) -> Mapping[datetime, Minute]:
    """By the minute in which each send was meant to be sent."""
    minutes: dict[datetime, Minute] = defaultdict(Minute)
    for send, cause in _judged(history.sends, slo):
        minute = minutes[_minute(history.wall_ns(send.intended_ns))]
        minute.valid += 1
        if cause:
            minute.causes[cause] += 1
            minute.sends.append(send.planned.n)
    return minutes


def _judged(sends: Iterable[Send], slo: Slo) -> Iterator[tuple[Send, str]]:
    """What counts for the objective, and why it was bad; empty where it was not."""
    for send in sends:
        first = send.first
        is_acked = first is not None and first.is_acknowledged
        took_us = (first.ack_ns - send.intended_ns) // NS_PER_US if first else 0
        if slo.source is Source.ANSWERS:
            yield send, "" if send.is_accepted else _refusal(send)
        elif is_acked:
            yield send, SLOW if took_us > slo.within_us else ""


def _refusal(send: Send) -> str:
    first = send.first
    if first is None:
        return "not_sent"
    if first.is_acknowledged:
        return "late"
    return send.answer.code or (f"status_{first.status}" if first.status else first.error or "no_answer")


def _row(
    history: History, slo: Slo, kind: Kind, since: datetime, until: datetime, own: Minute, so_far: Counts
) -> Sequence[object]:
    counts = own.counts
    return (
        slo.name,
        slo.version,
        f"run:{history.run_id}",
        kind.value,
        _time(since),
        _time(until),
        counts.valid,
        counts.good,
        counts.bad,
        f"{slo.target:f}",
        _exact(budget_total(so_far, target=slo.target)),
        so_far.bad,
        _exact(balance(so_far, target=slo.target)),
        _exact(remaining_pct(so_far, target=slo.target)),
        _exact(burn_rate(counts, target=slo.target)),
        " ".join(f"{cause}:{count}" for cause, count in sorted(own.causes.items())),
        " ".join(str(n) for n in own.sends[:SENDS_NAMED_COUNT]),
    )


def _exact(value: Fraction | None) -> Decimal | str:
    """Empty where it cannot be known."""
    found = decimal(value)
    return "" if found is None else found


def _minute(wall_ns: int) -> datetime:
    return datetime.fromtimestamp(wall_ns // NS_PER_SECOND, tz=UTC).replace(second=0, microsecond=0)


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
