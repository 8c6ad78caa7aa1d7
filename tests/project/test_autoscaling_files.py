"""deploy/autoscaling: what an external scaler asks for is what /metrics has, within what the settings allow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from ingestion.metrics import MetricName

FILES = sorted((Path(__file__).resolve().parents[2] / "deploy" / "autoscaling").glob("*.yaml"))
OWN_NAME = re.compile(r"\bautocom_[a-z_]+\b")


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def asked_for(document: dict[str, Any]) -> set[str]:
    """Names in queries and in metric names, wherever they stand."""
    return set(OWN_NAME.findall(yaml.safe_dump(document, width=10_000)))


def test_there_is_an_example_for_each_scaler() -> None:
    kinds = {document["kind"] for path in FILES for document in documents(path)}
    assert kinds == {"ScaledObject", "HorizontalPodAutoscaler", "Deployment"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_metrics_that_a_scaler_asks_for_are_declared(path: Path) -> None:
    names = {name for document in documents(path) for name in asked_for(document)}
    assert names
    assert names <= set(get_args(MetricName.__value__))


def test_keda_asks_for_a_label_that_is_exposed_and_falls_back_when_nobody_advises() -> None:
    (scaled,) = (each for each in documents(FILES[-1]) if each["kind"] == "ScaledObject")
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["type"] == "prometheus"
    assert trigger["metadata"]["query"] == 'max(autocom_workers{count="wanted"})'
    assert trigger["metadata"]["ignoreNullValues"] == "false"
    assert scaled["spec"]["fallback"]["replicas"] == scaled["spec"]["maxReplicaCount"]


def test_the_adviser_and_keda_have_the_same_bounds() -> None:
    advice, scaled = documents(FILES[-1])
    words = advice["spec"]["template"]["spec"]["containers"][0]["command"]
    bounds = [int(words[words.index(name) + 1]) for name in ("--min", "--max")]
    assert bounds == [scaled["spec"]["minReplicaCount"], scaled["spec"]["maxReplicaCount"]]
    assert "--advise" in words
