"""The doctor says when what was committed is not sealed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models import F

from autocom.doctor.finding import Finding, Level
from autocom.doctor.judgements.log import judge
from autocom.doctor.readers.log import read
from evidence.log.errors import NoSigningKey
from evidence.log.names import LogName
from evidence.log.sealer import seal, seal_everything
from ingestion.buffer.store import LaneBuffer
from ingestion.models import Batch
from tests.support.lanes import LaneKit
from tests.support.log import own_log


def found() -> Finding:
    (finding,) = judge(read())
    return finding


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_waits_for_its_seal_or_a_sealer_without_a_key_fails(buffer: LaneBuffer, tmp_path: Path) -> None:
    kit = LaneKit(buffer=buffer)
    with own_log(tmp_path):
        assert found().level is Level.FINE
        kit.receive("evt-1")
        kit.drain()
        assert found().found == "the newest batches wait briefly"
        Batch.objects.update(committed_at=F("committed_at") - timedelta(minutes=5))
        assert (found().level, found().found) == (Level.FAIL, "a batch waits for its seal for 5 min")
        seal_everything(LogName.EVENTS)
        assert (found().level, found().found) == (Level.FINE, "every committed batch is sealed")
    with own_log(tmp_path / "no-key", log_signing_key=""):
        with pytest.raises(NoSigningKey):
            seal(LogName.EVENTS)
        assert found().level is Level.FAIL
        assert "LOG_SIGNING_KEY" in found().found
