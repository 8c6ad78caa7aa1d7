"""`python -m bench.adapters`, in small: every scheme is measured, and only deliveries that are believed."""

import json
import subprocess
import sys
from pathlib import Path

from ingestion.providers.registry import ADAPTERS

PROJECT = Path(__file__).resolve().parents[2]


def test_every_scheme_is_measured_beside_default() -> None:
    command = [sys.executable, "-m", "bench.adapters", "--rounds", "2", "--deliveries", "2", "--json"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=True)
    found = json.loads(done.stdout)
    assert found[0]["provider"] == "default"
    assert {one["provider"] for one in found} >= set(ADAPTERS) | {"default", "sendgrid, 1,000 a POST"}
    assert found[0]["times_default"] == 1.0
    assert all(one["us_per_event"] > one["verify_us_per_event"] > 0 for one in found)
