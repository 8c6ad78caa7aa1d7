"""Gate A as it is but for the size of the fault suite, which takes an hour: one trial of 500 events will do."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from pathlib import Path

from django.apps import AppConfig

FOR_THE_WHOLE_SUITE = {
    "faults.kinds": 1,
    "faults.fewest_seeds": 1,
    "faults.fewest_events": 500,
    "faults.bugs_caught": 0,
}


class OneFaultConfig(AppConfig):
    name = "tests.project.one_fault"

    def ready(self) -> None:
        from evidence.gates import spec

        folder = Path(tempfile.mkdtemp(prefix="autocom-gates-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        for path in spec.FOLDER.glob("*.json"):
            (folder / path.name).write_bytes(path.read_bytes())
        told = json.loads((spec.FOLDER / "a.json").read_bytes())
        asked = {each["metric"]: each for each in told["criteria"]}
        for metric, threshold in FOR_THE_WHOLE_SUITE.items():
            asked[metric]["threshold"] = threshold
        (folder / "a.json").write_text(json.dumps(told, indent=2) + "\n")
        spec.FOLDER = folder
