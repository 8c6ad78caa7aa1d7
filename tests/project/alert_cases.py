"""What each alert is for, as series for `promtool test rules`: all that /metrics says while all is well, and what
differs in one trouble."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SCRAPED = 'job="autocom",instance="console"'
PAGE, TICKET = "page", "ticket"


def series(name: str, **labels: str) -> str:
    return f"{name}{{{','.join([SCRAPED, *(f'{key}="{value}"' for key, value in labels.items())])}}}"


def answered(code: str) -> str:
    return series("autocom_answers_total", provider="default", code=code)


def set_aside(fate: str) -> str:
    return series("autocom_set_aside_events_total", provider="default", fate=fate)


def within(stage: str, edge: str) -> str:
    return series("autocom_stage_seconds_bucket", provider="default", stage=stage, le=edge)


# promtool's own writing: first value, step, and how often, a minute each
HEALTHY = {
    series("up"): "1x300",
    series("autocom_source_up", source="redis"): "1x300",
    series("autocom_log_leaves", log="events"): "0+10x300",
    series("autocom_log_waiting_seconds", log="events"): "2x300",
    series("autocom_log_refused", log="events"): "0x300",
    series("autocom_promise_check_age_seconds"): "3x300",
    series("autocom_promises_missing"): "0x300",
    series("autocom_promises_behind"): "0x300",
    series("autocom_promises_unchecked_total"): "0x300",
    within("ack", "0.12"): "0+990x300",
    within("ack", "5"): "0+1000x300",
    series("autocom_stage_seconds_count", provider="default", stage="ack"): "0+1000x300",
    within("end_to_end", "60"): "0+1000x300",
    series("autocom_stage_seconds_count", provider="default", stage="end_to_end"): "0+1000x300",
    answered("accepted"): "0+1000x300",
    answered("unauthorized"): "0+1x300",
    answered("internal_error"): "4x300",
    answered("token_reused"): "4x300",
    set_aside("dead_letter"): "7x300",
    set_aside("quarantined"): "7x300",
    series("autocom_lane_oldest_age_seconds", lane="0"): "1x300",
    series("autocom_lane_entries", lane="0"): "40x300",
    series("autocom_lane_bytes", lane="0"): "40000x300",
    series("autocom_lane_bound_entries"): "100000x300",
    series("autocom_lane_bound_bytes"): "100000000x300",
    series("autocom_lanes_resting"): "0x300",
    series("autocom_workers", count="alive"): "2x300",
    series("autocom_workers", count="minimum"): "2x300",
    series("autocom_workers_at_maximum"): "0x300",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`changed`: other values of a series, None where it is absent. `labels`: what the alert then carries."""

    alert: str
    changed: dict[str, str | None]
    at: str
    severity: str
    summary: str
    runbook: str
    labels: tuple[tuple[str, str], ...] = ()


INSTANCE = (("instance", "console"), ("job", "autocom"))
REDIS = (*INSTANCE, ("source", "redis"))
CASES = [
    Case(
        alert="AutocomNotScraped",
        changed={series("up"): "1x5 0x300"},
        at="8m",
        severity=PAGE,
        summary="Nothing is known of autocom, its metrics cannot be read",
        runbook="not-scraped",
        labels=INSTANCE,
    ),
    Case(
        alert="AutocomRedisAway",
        changed={series("autocom_source_up", source="redis"): "1x5 0x300"},
        at="8m",
        severity=PAGE,
        summary="Redis does not answer, so every webhook gets 503",
        runbook="redis-away",
        labels=REDIS,
    ),
    Case(
        alert="AutocomOpsSilent",
        changed={series("autocom_log_leaves", log="events"): "0+10x5 stale"},
        at="9m",
        severity=PAGE,
        summary="Cron or the ops worker is silent, so nothing is swept, sealed or checked",
        runbook="ops-silent",
        labels=REDIS,
    ),
    Case(
        alert="AutocomPromisesNotChecked",
        changed={series("autocom_promise_check_age_seconds"): None},
        at="5m",
        severity=PAGE,
        summary="Promises are not compared with what is stored, so nobody knows whether they are kept",
        runbook="promises-not-checked",
        labels=REDIS,
    ),
    Case(
        alert="AutocomPromisesNotChecked",
        changed={series("autocom_promise_check_age_seconds"): "3x2 60+60x300"},
        at="6m",
        severity=PAGE,
        summary="Promises are not compared with what is stored, so nobody knows whether they are kept",
        runbook="promises-not-checked",
        labels=INSTANCE,
    ),
    Case(
        alert="AutocomAckSlow",
        changed={within("ack", "0.12"): "0+900x300"},
        at="10m",
        severity=PAGE,
        summary="Only 90% of acks came within 120 ms",
        runbook="ack-p95",
    ),
    Case(
        alert="AutocomSignatureFailures",
        changed={answered("unauthorized"): "0+500x300"},
        at="10m",
        severity=PAGE,
        summary="33 % of deliveries are not believed",
        runbook="signature-failures",
    ),
    Case(
        alert="AutocomTokensReused",
        changed={answered("token_reused"): "_x15 3x300"},  # where none ever was
        at="17m",
        severity=PAGE,
        summary="Single-use tokens came again with other events, most likely captured signatures",
        runbook="tokens-reused",
    ),
    Case(
        alert="AutocomInternalErrors",
        changed={answered("internal_error"): "_x30 1x300"},  # the first ever
        at="32m",
        severity=TICKET,
        summary="The ingress answered 500, a fault of autocom",
        runbook="internal-errors",
    ),
    Case(
        alert="AutocomEventsLate",
        changed={series("autocom_lane_oldest_age_seconds", lane="0"): "0+30x300"},
        at="5m",
        severity=PAGE,
        summary="An accepted event waits for its commit since 2m 30s",
        runbook="lag",
    ),
    Case(
        alert="AutocomLanesRest",
        changed={series("autocom_lanes_resting"): "0x2 3x300"},
        at="6m",
        severity=PAGE,
        summary="3 lanes rest, PostgreSQL refuses their commits",
        runbook="lanes-rest",
        labels=INSTANCE,
    ),
    Case(
        alert="AutocomLaneFilling",
        changed={series("autocom_lane_bytes", lane="0"): "0+10000000x9 90000000x200"},
        at="8m",
        severity=PAGE,
        summary="Lane 0 is 80% full; at its bound it answers 503",
        runbook="lane-filling",
        labels=(("lane", "0"),),
    ),
    Case(
        alert="AutocomTooFewWorkers",
        changed={series("autocom_workers", count="alive"): "2x2 1x300"},
        at="6m",
        severity=PAGE,
        summary="Fewer drain workers run than WORKERS_MIN",
        runbook="too-few-workers",
    ),
    Case(
        alert="AutocomWorkersAtMaximum",
        changed={series("autocom_workers_at_maximum"): "1x300"},
        at="12m",
        severity=TICKET,
        summary="More drain workers are wanted than WORKERS_MAX allows",
        runbook="workers-at-maximum",
    ),
    Case(
        alert="AutocomPromisesBroken",
        changed={series("autocom_promises_missing"): "0x2 1x300"},
        at="4m",
        severity=PAGE,
        summary="1 promised events are in no table, or not as they were promised",
        runbook="nothing-lost",
    ),
    Case(
        alert="AutocomPromisesBehind",
        changed={series("autocom_promises_behind"): "0+100x300"},
        at="9m",
        severity=TICKET,
        summary="The check of promises does not keep up",
        runbook="promises-behind",
    ),
    Case(
        alert="AutocomPromisesUnchecked",
        changed={series("autocom_promises_unchecked_total"): "0x5 0+10x300"},
        at="30m",
        severity=TICKET,
        summary="Redis forgot promises before they could be checked",
        runbook="promises-unchecked",
    ),
    Case(
        alert="AutocomDeadLetters",
        changed={set_aside("dead_letter"): "_x90 1x300"},  # the first ever
        at="95m",
        severity=TICKET,
        summary="Events were set aside as dead letters within the last hour",
        runbook="dead-letters",
    ),
    Case(
        alert="AutocomQuarantined",
        changed={set_aside("quarantined"): "7x5 8x300"},
        at="10m",
        severity=TICKET,
        summary="Events came with a known identity and other content",
        runbook="quarantined",
    ),
    Case(
        alert="AutocomLogNotSealed",
        changed={series("autocom_log_waiting_seconds", log="events"): "2+60x300"},
        at="4m",
        severity=PAGE,
        summary="Log events: something committed is not sealed since 4m 2s",
        runbook="sealing",
        labels=(("log", "events"),),
    ),
    Case(
        alert="AutocomSealerRefuses",
        changed={series("autocom_log_refused", log="events"): "0x2 1x300"},
        at="4m",
        severity=PAGE,
        summary="Log events: the sealer stands still or leaves something out",
        runbook="sealer-refuses",
        labels=(("log", "events"),),
    ),
    Case(
        alert="AutocomBudgetBurn1h",
        changed={answered("lane_full"): "0+250x300"},  # a fifth is refused
        at="20m",
        severity=PAGE,
        summary="availability: the error budget burns 200.0 times too fast over 1h (limit 14.4)",
        runbook="burn-page",
        labels=(("slo", "availability"),),
    ),
    Case(
        alert="AutocomBudgetBurn6h",
        changed={answered("lane_full"): "0+10x300"},
        at="40m",
        severity=PAGE,
        summary="availability: the error budget burns 9.9 times too fast over 6h (limit 6)",
        runbook="burn-page",
        labels=(("slo", "availability"),),
    ),
    Case(
        alert="AutocomBudgetBurn1d",
        changed={within("end_to_end", "60"): "0+995x300"},
        at="40m",
        severity=TICKET,
        summary="end_to_end_lag: the error budget burns 5.0 times too fast over 1d (limit 3)",
        runbook="burn-page",
        labels=(("slo", "end_to_end_lag"),),
    ),
    Case(
        alert="AutocomBudgetBurn3d",
        changed={within("ack", "0.12"): "0+900x300"},
        at="40m",
        severity=TICKET,
        summary="ack_latency: the error budget burns 2.0 times too fast over 3d (limit 1)",
        runbook="burn-page",
        labels=(("slo", "ack_latency"),),
    ),
]


def rule_tests(rule_file: str, alerts: list[str]) -> dict[str, Any]:
    """The file for promtool: no alert while all is well, of a Prometheus two minutes old and of one that knows the hour
    before, and each of them in its case."""
    quiet = [{"eval_time": at, "alertname": alert} for alert in alerts for at in ("2m", "90m")]
    healthy = {"name": "all is well", "interval": "1m", "input_series": _input(HEALTHY), "alert_rule_test": quiet}
    return {
        "rule_files": [rule_file],
        "evaluation_interval": "15s",
        "tests": [healthy, *(_one(case) for case in CASES if case.alert in alerts)],
    }


def _one(case: Case) -> dict[str, Any]:
    wanted = {
        "exp_labels": {**dict(case.labels), "severity": case.severity},
        "exp_annotations": {"summary": case.summary, "runbook_url": f"docs/runbooks/{case.runbook}.md"},
    }
    return {
        "name": f"{case.alert} {case.changed}",
        "interval": "1m",
        "input_series": _input(HEALTHY | case.changed),
        "alert_rule_test": [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": [wanted]}],
    }


def _input(told: dict[str, Any]) -> list[dict[str, str]]:
    return [{"series": name, "values": values} for name, values in told.items() if values is not None]
