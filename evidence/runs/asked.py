"""What a person may ask of a run in the console, and within which bounds. The command line knows larger ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from evidence.errors import EvidenceError
from evidence.gates.spec import gate_names
from ingestion.models import Provider
from ingestion.provider_book import DEFAULT
from ingestion.replay.errors import ReplayError
from ingestion.replay.stored_signer import stored_signer
from ingestion.replay.verdict import GATE_A

CONNECTIONS = 64
LASTS_AT_MOST = timedelta(hours=1)


class ReplayRefused(EvidenceError):
    """This run cannot be asked for; the message says why, and nothing was done."""

    code = "replay_refused"


class ReplayUnderWay(ReplayRefused):
    """Another run is: this one can be asked for when that has ended."""

    code = "replay_under_way"


@dataclass(frozen=True, slots=True)
class Bound:
    """A whole number of the form."""

    name: str
    title: str
    at_least: int
    at_most: int
    default: int
    explained: str = ""


COUNT = Bound("count", "Sends", 1, 300_000, 30_000, "deliberate duplicates included")
RATE = Bound("rate", "Sends a second", 1, 5_000, 1_000)
KEYS = Bound("keys", "Ordering keys", 1, 10_000, 500, "some are much busier than others")
DUPLICATES = Bound("duplicates_percent", "Duplicates, per cent", 0, 90, 2, "sends that repeat an earlier one")
SEED = Bound("seed", "Seed", 0, 2**31 - 1, 1, "same seed: the same kinds of events at the same moments")
BOUNDS = (COUNT, RATE, KEYS, DUPLICATES, SEED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One run, with sends to the ingress of this machine."""

    count: int = COUNT.default
    rate: int = RATE.default
    keys: int = KEYS.default
    duplicates_percent: int = DUPLICATES.default
    seed: int = SEED.default
    provider: str = DEFAULT
    gate: str = GATE_A

    @property
    def lasts(self) -> timedelta:
        """As planned: nothing waits for anything in an open loop."""
        return timedelta(seconds=self.count / self.rate)

    @property
    def load(self) -> dict[str, int | float]:
        """As the generator takes it."""
        return {
            "count": self.count,
            "rate": float(self.rate),
            "connections": CONNECTIONS,
            "keys": self.keys,
            "duplicates": self.duplicates_percent / 100,
            "seed": self.seed,
        }


def provider_names() -> list[str]:
    """Those that a delivery is taken for."""
    rows = Provider.objects.filter(enabled=True).exclude(name=DEFAULT)
    return [DEFAULT, *rows.order_by("name").values_list("name", flat=True)]


def refuse_what_cannot_be(asked: Asked) -> None:
    """Raises ReplayRefused with every reason at once."""
    if complaints := [*_complaints(asked)]:
        raise ReplayRefused("; ".join(complaints))


def _complaints(asked: Asked) -> Iterator[str]:
    for bound in BOUNDS:
        value = getattr(asked, bound.name)
        if not bound.at_least <= value <= bound.at_most:
            yield f"{bound.title}: {value:,} is not between {bound.at_least:,} and {bound.at_most:,}"
    if asked.rate > 0 and asked.lasts > LASTS_AT_MOST:
        yield f"{asked.count:,} sends at {asked.rate:,} a second take {asked.lasts}: an hour is the most"
    if asked.gate not in gate_names():
        yield f"{asked.gate[:64]}: there is no such gate; known: {', '.join(gate_names())}"
    if asked.provider not in provider_names():
        yield f"{asked.provider[:64]}: there is no such provider that is enabled"
    elif asked.provider != DEFAULT:
        try:
            stored_signer(asked.provider, key_file=None, makes_events=True)
        except ReplayError as error:
            yield str(error)
