"""A file of objectives, read strictly: a name that nobody knows is refused, as it would be a promise nobody keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

import yaml

from evidence.slo.errors import SloInvalid
from evidence.slo.objective import Invariant, MeasuredBy, Objectives, Slo, Source
from ingestion.latency import HIGHEST_US, SLO_US
from ingestion.problems import Problem

SLO_VERSION, INVARIANT_VERSION = "openslo/v1", "autocom/v1"
KNOWN_CODES = frozenset({"accepted", "duplicate", "handshake", *Problem})
WINDOWS = ({"duration": "28d", "isRolling": True}, {"duration": "1M", "isRolling": False})
ROLLING_DAYS = 28
# limits that are counted exactly: one beside each histogram, and what it cannot hold
COUNTED_US: Mapping[Source, Sequence[int]] = {
    Source.ANSWERS: (5_000_000,),
    Source.ACK: (SLO_US, HIGHEST_US),
    Source.END_TO_END: (SLO_US, HIGHEST_US),
}
type Told = Mapping[str, Any]


def parse(text: bytes) -> Objectives:
    """Raises SloInvalid."""
    try:
        documents = [each for each in yaml.safe_load_all(text) if each is not None]
    except yaml.YAMLError as error:
        raise SloInvalid(f"this is no YAML: {error}") from error
    slos: dict[str, Slo] = {}
    invariants: dict[str, Invariant] = {}
    for at, told in enumerate(documents, 1):
        kind, name, where = _begin(told, at)
        if name in slos or name in invariants:
            raise SloInvalid(f"{where}: the name is used twice: each objective has its own")
        if kind == "SLO":
            slos[name] = _slo(told, where=where)
        else:
            invariants[name] = _invariant(told, where=where)
    if not slos:
        raise SloInvalid("the file holds no SLO: write at least one document of kind SLO")
    return Objectives(slos=slos, invariants=invariants, text=text)


def _begin(told: Any, at: int) -> tuple[str, str, str]:
    where = f"document {at}"
    _only(told, {"apiVersion", "kind", "metadata", "spec"}, where=where)
    if (told["apiVersion"], told["kind"]) not in ((SLO_VERSION, "SLO"), (INVARIANT_VERSION, "Invariant")):
        raise SloInvalid(
            f"{where}: write apiVersion {SLO_VERSION} with kind SLO, or {INVARIANT_VERSION} with Invariant"
        )
    _only(told["metadata"], {"name", "displayName"}, where=f"{where}: metadata")
    name = _text(told["metadata"]["name"], where=f"{where}: metadata.name")
    return told["kind"], name, f"{where} ({name})"


def _slo(told: Told, *, where: str) -> Slo:
    spec = told["spec"]
    names = {"version", "description", "service", "budgetingMethod", "timeWindow", "indicator", "objectives"}
    _only(spec, names, where=f"{where}: spec")
    if spec["budgetingMethod"] != "Occurrences":
        raise SloInvalid(f"{where}: budgetingMethod {spec['budgetingMethod']!r}: only Occurrences are counted")
    if spec["timeWindow"] != list(WINDOWS):
        raise SloInvalid(f"{where}: timeWindow: write 28d with isRolling true, then 1M with isRolling false")
    return Slo(
        **_named(told, where=where), target=_target(spec["objectives"], where=where), window_days=ROLLING_DAYS,
        **_indicator(spec["indicator"], where=f"{where}: indicator"),
    )  # fmt: skip


def _invariant(told: Told, *, where: str) -> Invariant:
    spec = told["spec"]
    _only(spec, {"version", "description", "service", "measured_by"}, where=f"{where}: spec")
    return Invariant(**_named(told, where=where), measured_by=_one_of(MeasuredBy, spec["measured_by"], where=where))


def _named(told: Told, *, where: str) -> dict[str, Any]:
    metadata, spec = told["metadata"], told["spec"]
    version = spec["version"]
    if type(version) is not int or version < 1:
        raise SloInvalid(f"{where}: version {version!r}: write a whole number from 1")
    return {
        "name": metadata["name"],
        "title": _text(metadata["displayName"], where=f"{where}: displayName"),
        "version": version,
        "description": _text(spec["description"], where=f"{where}: description"),
    }


def _target(objectives: Any, *, where: str) -> Decimal:
    if not isinstance(objectives, list) or len(objectives) != 1:
        raise SloInvalid(f"{where}: objectives: write one, such as - target: 0.999")
    _only(objectives[0], {"target"}, where=f"{where}: objectives")
    told = objectives[0]["target"]
    try:
        target = Decimal(str(told))
    except InvalidOperation:
        target = Decimal(0)
    if isinstance(told, bool) or not 0 < target < 1:
        raise SloInvalid(f"{where}: target {told!r}: write a share above 0 and below 1, such as 0.999")
    return target


def _indicator(told: Any, *, where: str) -> dict[str, Any]:
    _only(told, {"ratioMetric"}, where=where)
    ratio = told["ratioMetric"]
    _only(ratio, {"counter", "good", "total"}, where=where)
    if ratio["counter"] is not True:
        raise SloInvalid(f"{where}: counter: write true")
    good, total = ratio["good"], ratio["total"]
    if isinstance(good, Mapping) and "stage" in good:
        return _durations(good, total, where=where)
    return _answers(good, total, where=where)


def _durations(good: Told, total: Any, *, where: str) -> dict[str, Any]:
    _only(good, {"stage", "within_us"}, where=f"{where}: good")
    _only(total, {"stage"}, where=f"{where}: total")
    source = _one_of(Source, good["stage"], where=f"{where}: good.stage")
    if source is Source.ANSWERS or total["stage"] != source:
        raise SloInvalid(f"{where}: write ack or end_to_end as the stage, the same in good and total")
    return {"source": source, "within_us": _within(good, source, where=where)}


def _answers(good: Any, total: Any, *, where: str) -> dict[str, Any]:
    _only(good, {"answers", "within_us"}, where=f"{where}: good")
    _only(total, {"answers", "apart"}, where=f"{where}: total")
    good_codes, valid, apart = (
        _codes(part[name], where=f"{where}: {name}")
        for part, name in ((good, "answers"), (total, "answers"), (total, "apart"))
    )
    if not good_codes < valid or valid & apart:
        raise SloInvalid(f"{where}: every good code stands in total.answers too, and none of these in apart")
    if forgotten := sorted(KNOWN_CODES - valid - apart):
        raise SloInvalid(f"{where}: say of {', '.join(forgotten)} whether they are valid (answers) or stand apart")
    within_us = _within(good, Source.ANSWERS, where=where)
    bad_codes = valid - good_codes
    return {"source": Source.ANSWERS, "within_us": within_us, "good_codes": good_codes, "bad_codes": bad_codes}


def _within(good: Told, source: Source, *, where: str) -> int:
    within_us, counted = good["within_us"], COUNTED_US[source]
    if type(within_us) is not int or within_us not in counted:
        choices = " or ".join(str(each) for each in counted)
        raise SloInvalid(
            f"{where}: within_us {within_us!r} is not counted for {source}: write {choices} (microseconds)"
        )
    return within_us


def _codes(told: Any, *, where: str) -> frozenset[str]:
    if not isinstance(told, list) or not all(isinstance(each, str) for each in told) or len(set(told)) != len(told):
        raise SloInvalid(f"{where}: write a list of different codes, such as [accepted, duplicate]")
    if unknown := sorted(set(told) - KNOWN_CODES):
        raise SloInvalid(f"{where}: no answer has the code {', '.join(unknown)}: docs/errors.md lists them")
    return frozenset(told)


def _only(told: Any, names: set[str], *, where: str) -> None:
    if not isinstance(told, Mapping) or set(told) != names:
        found = ", ".join(sorted(map(str, told))) if isinstance(told, Mapping) else repr(told)
        raise SloInvalid(f"{where}: write exactly {', '.join(sorted(names))}; there is {found or 'nothing'}")


def _one_of[E: StrEnum](names: type[E], told: Any, *, where: str) -> E:
    try:
        return names(told)
    except ValueError:
        raise SloInvalid(f"{where}: {told!r}: write one of {', '.join(names)}") from None


def _text(told: Any, *, where: str) -> str:
    if not isinstance(told, str) or not told.strip():
        raise SloInvalid(f"{where}: write a text")
    return told.strip()
