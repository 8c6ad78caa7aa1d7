"""The rules as data: read, checked in every field, and never a rule that cannot be read."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from evidence.errors import EvidenceError
from evidence.guardrails.readings import METRICS
from evidence.models import Alert

FORMAT = "autocom-guardrails/1"
SHIPPED = Path(__file__).with_name("guardrails.yaml")
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
ALERT_KINDS = frozenset({"dead_letters", "guardrail", "lag", "promise", "authentication"})


class GuardrailsInvalid(EvidenceError):
    """The rules cannot be read; the message says which, and what a right value looks like."""

    code = "guardrails_invalid"


class Action(StrEnum):
    RETURN = "return"  # to OBSERVER, and alert
    ALERT = "alert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    name: str
    title: str
    metric: str
    unit: str
    operator: str
    threshold: float
    window_seconds: int
    for_seconds: int
    minimum_count: int
    unknown_at_most_seconds: int
    severity: Alert.Severity
    alert: str
    action: Action

    def is_beyond(self, reading: float) -> bool:
        return OPERATORS[self.operator](reading, self.threshold)


@cache
def shipped_rules() -> tuple[Rule, ...]:
    return parse_rules(SHIPPED.read_text(encoding="utf-8"))


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Raises GuardrailsInvalid."""
    try:
        told = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise GuardrailsInvalid(f"the rules are no YAML: {error}") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT or set(told) != {"format", "rules"}:
        raise GuardrailsInvalid(f'write "format: {FORMAT}" and "rules:", and nothing else')
    if not isinstance(told["rules"], list) or not told["rules"]:
        raise GuardrailsInvalid("rules: name one at least")
    rules = tuple(_rule(each) for each in told["rules"])
    if len({rule.name for rule in rules}) != len(rules):
        raise GuardrailsInvalid("rules: each name stands once")
    return rules


def _rule(told: Any) -> Rule:
    known = {field.name for field in fields(Rule)}
    if not isinstance(told, dict) or set(told) != known:
        raise GuardrailsInvalid(f"a rule has the fields {', '.join(sorted(known))}; this one does not: {told}")
    for name in ("name", "title", "unit"):
        _want(isinstance(told[name], str) and told[name], told, name, "a text")
    for name in ("window_seconds", "for_seconds", "minimum_count", "unknown_at_most_seconds"):
        _want(type(told[name]) is int and told[name] >= 0, told, name, "a whole number from 0")
    _want(type(told["threshold"]) in (int, float), told, "threshold", "a number")
    for name, known_values in _CHOICES.items():
        _want(told[name] in known_values, told, name, f"one of {', '.join(sorted(known_values))}")
    enums = {"severity": Alert.Severity(told["severity"]), "action": Action(told["action"])}
    return Rule(**{**told, **enums, "threshold": float(told["threshold"])})


_CHOICES = {
    "metric": set(METRICS),
    "operator": set(OPERATORS),
    "alert": ALERT_KINDS,
    "severity": set(Alert.Severity.values),
    "action": {each.value for each in Action},
}


def _want(is_right: object, told: Mapping[str, Any], name: str, wanted: str) -> None:
    if not is_right:
        raise GuardrailsInvalid(f"rule {told['name']}: {name} is {wanted}, not {told[name]!r}")
