"""What is attested of the run, as in-toto statements in DSSE envelopes, each signed by itself."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from autocom.kernel.signed_note import NoteSigner
from evidence.bundles.bag import PAYLOAD_MANIFEST, digest
from evidence.bundles.parts.files import write_json
from evidence.bundles.parts.replay import PATHS as REPLAY_PATHS
from evidence.bundles.run import Run
from evidence.gates.evaluate import GateVerdict

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
GATE_VERDICT = "https://autocom.dev/attestation/gate-verdict/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
RESULTS = {"PASS": "PASSED", "FAIL": "FAILED"}  # of a test-result; it has no word for what could not be decided
SPEC, VERDICT, FAULTS = "data/gate/spec.json", "data/gate/verdict.json", "data/faults/faults.json"


def write_statements(bag: Path, run: Run, verdict: GateVerdict, *, signer: NoteSigner) -> None:
    """Of the replay, of the fault suite where it is there, and the verdict, which names the others by digest."""
    _sign(bag, "replay", _replay(bag, run), signer)
    if (bag / FAULTS).is_file():
        _sign(bag, "faults", _faults(bag), signer)
    _sign(bag, "verdict", _verdict(bag, run, verdict, signer), signer)


def pae(payload: bytes) -> bytes:
    """What DSSE signs: type and payload, each with its length."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def _path(name: str) -> str:
    return f"statements/{name}.dsse.json"


def _replay(bag: Path, run: Run) -> dict[str, Any]:
    criteria = run.summary["criteria"]
    predicate = {
        "result": RESULTS.get(run.summary["verdict"], "WARNED"),
        "configuration": [{"name": f"commit {run.commit}"}, {"name": f"seed {run.summary['seed']}"}],
        **_tests((each["name"], each["outcome"]) for each in criteria),
    }
    return _statement(bag, REPLAY_PATHS, TEST_RESULT, predicate)


def _faults(bag: Path) -> dict[str, Any]:
    told = json.loads((bag / FAULTS).read_bytes())
    predicate = {
        "result": RESULTS.get(told["outcome"], "WARNED"),
        "configuration": [{"name": f"commit {told['commit']}"}],
        **_tests((f"{each['fault']} seed {each['seed']}", each["outcome"]) for each in told["cells"]),
    }
    return _statement(bag, [FAULTS, "data/faults/faults.md"], TEST_RESULT, predicate)


def _verdict(bag: Path, run: Run, verdict: GateVerdict, signer: NoteSigner) -> dict[str, Any]:
    """In the shape of a verification summary, which could not say INCONCLUSIVE."""
    inputs = [_path(name) for name in ("faults", "replay") if (bag / _path(name)).is_file()]
    predicate = {
        "verifier": {"id": signer.key.name},
        "timeVerified": run.ended_at.isoformat().replace("+00:00", "Z"),
        "policy": {"name": verdict.gate, "version": verdict.version, "sha256": digest(bag / SPEC)},
        "inputAttestations": [{"uri": path, "digest": {"sha256": digest(bag / path)}} for path in inputs],
        "result": verdict.outcome.value,
        "criteria": verdict.as_json()["criteria"],
    }
    return _statement(bag, [VERDICT, PAYLOAD_MANIFEST], GATE_VERDICT, predicate)


def _tests(outcomes: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {"passedTests": [], "warnedTests": [], "failedTests": []}
    names = {"PASS": "passedTests", "FAIL": "failedTests"}
    for name, outcome in outcomes:
        told[names.get(outcome, "warnedTests")].append(name)
    return told


def _statement(bag: Path, paths: Iterable[str], kind: str, predicate: Mapping[str, Any]) -> dict[str, Any]:
    there = [path for path in paths if (bag / path).is_file()]
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": path, "digest": {"sha256": digest(bag / path)}} for path in there],
        "predicateType": kind,
        "predicate": dict(predicate),
    }


def _sign(bag: Path, name: str, statement: Mapping[str, Any], signer: NoteSigner) -> None:
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    signature = {"keyid": signer.key.vkey, "sig": _base64(signer.sign(pae(payload)))}
    write_json(bag / _path(name), {"payloadType": PAYLOAD_TYPE, "payload": _base64(payload), "signatures": [signature]})


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
