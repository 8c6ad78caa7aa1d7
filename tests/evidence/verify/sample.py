"""Sample bundles, made of histories of tests with the service's own code: the verifier shares no line with it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogWriter

from autocom.kernel.canonical_json import canonical_json
from autocom.kernel.digest import sha256
from autocom.kernel.merkle import inclusion_path, leaf_hash, root_of_hashes
from autocom.kernel.signed_note import Checkpoint, NoteKey, NoteSigner, signed_note
from evidence.gates.evaluate import evaluate
from evidence.gates.facts import facts_of
from evidence.gates.history import COLUMNS, freeze_before, read_acts, runs_since
from evidence.gates.spec import GateSpec
from evidence.log.seal_text import SealText
from ingestion.leaf import leaf_line
from ingestion.replay.figures import ack_latencies_us, figures_of
from ingestion.replay.files import write_files
from ingestion.replay.findings import Place, StoredRow
from ingestion.replay.history import History
from ingestion.replay.journal import JournalWriter
from ingestion.replay.reconcile import reconcile
from ingestion.replay.report import Report, summary
from ingestion.replay.run import GeneratorResult
from ingestion.replay.verdict import judge
from tests.replay.kit import self_check

NAME = "localhost/autocom"
ACCEPTED_US = 1_767_225_600_000_000
COMMITTED_AFTER_US = 2_500
KINDS = {Place.EVENT: "P", Place.DEAD_LETTER: "D", Place.QUARANTINE: "Q"}
PLACES = {Place.EVENT: "event", Place.DEAD_LETTER: "dead_letter", Place.QUARANTINE: "quarantine"}
SOURCE = "data/replay/summary.json"
GATE = {
    "format": "autocom-gate/2",
    "name": "sample",
    "version": 1,
    "title": "A gate for samples",
    "grants": ["LIMITED"],
    "criteria": [
        {
            "name": metric,
            "metric": metric,
            "operator": operator,
            "threshold": limit,
            "unit": unit,
            "key": True,
            "source": source,
            "max_age_hours": hours,
        }
        for metric, operator, limit, unit, source, hours in (
            ("accepted_ratio", ">=", 0.5, "ratio", SOURCE, None),
            ("ack_ms.p95", "<=", 120.0, "ms", SOURCE, None),
            ("lost", "==", 0, "events", SOURCE, None),
            ("order_violations", "==", 0, "events", SOURCE, None),
            ("freeze.entry", ">=", 1, "entry", "data/audit/entries.jsonl", None),
            ("smoke.planned", ">=", 1, "events", "data/smoke/summary.json", 24),
            ("rbac.mismatches", "==", 0, "cells", "data/rbac/matrix.csv", 24),
            ("rbac.cells", ">=", 1, "cells", "data/rbac/matrix.csv", 24),
            ("audit.findings", "==", 0, "findings", "data/audit/entries.jsonl", None),
            ("faults.not_passed", "==", 0, "trials", "data/faults/faults.json", None),
            ("faults.kinds", ">=", 2, "faults", "data/faults/faults.json", None),
            ("faults.fewest_seeds", ">=", 2, "seeds", "data/faults/faults.json", None),
            ("faults.fewest_events", ">=", 5_000, "events", "data/faults/faults.json", None),
            ("faults.bugs_caught", ">=", 1, "bugs", "data/faults/faults.json", None),
            ("rollback.seconds", "<=", 60.0, "s", "data/rollback/drill.json", 24),
        )
    ],
    "required_files": ["data/replay/journal.jsonl", "data/lineage/leaves.tsv", "data/budget/ledger.csv"],
    "max_age_hours": 24,
}
SPEC = json.dumps(GATE, indent=2) + "\n"
SMOKE_ID = "r20251231T230000-0a0b0c"
TWO_HOURS_BEFORE = "1969-12-31T22:00:00+00:00"  # the samples' runs end in the first second of 1970


def signer(name: str = NAME, seed: int = 1) -> NoteSigner:
    private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return NoteSigner(NoteKey(name, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)), private)


@dataclass
class Sample:
    """A bundle under `folder`, and what it was made of."""

    folder: Path
    signer: NoteSigner
    history: History
    rows: Sequence[StoredRow]
    lines: list[bytes] = field(default_factory=list)  # of the log of events

    def path(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, content: bytes | str) -> None:
        self.path(name).write_bytes(content.encode() if isinstance(content, str) else content)

    def digest(self, name: str) -> str:
        return hashlib.sha256((self.folder / name).read_bytes()).hexdigest()

    def files(self, *, below: str = "") -> list[str]:
        found = (path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())
        return sorted(name for name in found if name.startswith(below))


def build(folder: Path, history: History, rows: Sequence[StoredRow]) -> Sample:
    """A complete bundle of this run."""
    folder.mkdir(parents=True)
    sample = Sample(folder, signer(), history, rows)
    _write_replay(sample, sample.history, "data/replay")
    smoke = {**sample.history.header, "run_id": SMOKE_ID}
    _write_replay(sample, replace(sample.history, header=smoke), "data/smoke")
    _write_left(sample)
    _write_lineage(sample)
    _write_audit(sample)
    _write_verdict(sample)
    finish(sample)
    return sample


def finish(sample: Sample) -> None:
    """Statements, manifests and signature over whatever lies there now: what somebody with the key can always do."""
    verdict = json.loads((sample.folder / "data/gate/verdict.json").read_bytes())
    told = json.loads((sample.folder / "data/replay/summary.json").read_bytes())
    result = {"PASS": "PASSED", "FAIL": "FAILED", "INCONCLUSIVE": "WARNED"}[told["verdict"]]
    _state(sample, "replay", {"result": result}, ["data/replay/journal.jsonl", "data/replay/summary.json"])
    policy = {"name": verdict["gate"], "version": verdict["version"], "sha256": sample.digest("data/gate/spec.json")}
    predicate = {"policy": policy, "result": verdict["verdict"], "criteria": verdict["criteria"]}
    _state(sample, "verdict", predicate, ["data/gate/verdict.json"])
    _state(sample, "faults", {"result": "PASSED"}, ["data/faults/faults.json"])
    _write_tags(sample, verdict)


def _write_tags(sample: Sample, verdict: dict[str, Any]) -> None:
    key, payload = sample.signer.key, [sample.folder / name for name in sample.files(below="data/")]
    sample.write("bagit.txt", "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    facts = {
        "Bagging-Date": "2026-01-01",
        "Payload-Oxum": f"{sum(path.stat().st_size for path in payload)}.{len(payload)}",
        "Gate": verdict["gate"],
        "Gate-Version": verdict["version"],
        "Run-Id": verdict["run_id"],
        "Commit": "0" * 40,
        "Verdict": verdict["verdict"],
        "Bundle-Format": "autocom-bundle/1",
    }
    sample.write("bag-info.txt", "".join(f"{name}: {value}\n" for name, value in facts.items()))
    sample.write("keys/log.pub.pem", key.pem)
    sample.write("keys/log.vkey", f"{key.vkey}\n")
    sample.write("AUDIT.md", "# How to verify\n")
    sample.write("report.md", f"# {verdict['verdict']}\n")
    _write_list(sample, "manifest-sha256.txt", sample.files(below="data/"))
    outside = {"tagmanifest-sha256.txt", "SHA256SUMS", "SHA256SUMS.sig"}
    tags = [name for name in sample.files() if not name.startswith("data/") and name not in outside]
    _write_list(sample, "tagmanifest-sha256.txt", tags)
    everything = [name for name in sample.files() if name not in {"SHA256SUMS", "SHA256SUMS.sig"}]
    _write_list(sample, "SHA256SUMS", everything)
    sample.write("SHA256SUMS.sig", sample.signer.sign((sample.folder / "SHA256SUMS").read_bytes()))


def _write_list(sample: Sample, name: str, files: Sequence[str]) -> None:
    sample.write(name, "".join(f"{sample.digest(one)}  {one}\n" for one in files))


def _state(sample: Sample, name: str, predicate: dict[str, Any], subjects: Sequence[str]) -> None:
    kinds = {
        "verdict": "https://autocom.dev/attestation/gate-verdict/v1",
        "replay": "https://in-toto.io/attestation/test-result/v0.1",
        "faults": "https://in-toto.io/attestation/test-result/v0.1",
    }
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": each, "digest": {"sha256": sample.digest(each)}} for each in subjects],
        "predicateType": kinds[name],
        "predicate": predicate,
    }
    kind, payload = "application/vnd.in-toto+json", json.dumps(statement, sort_keys=True).encode()
    encoded = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    signature = base64.b64encode(sample.signer.sign(encoded)).decode()
    envelope = {
        "payloadType": kind,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": sample.signer.key.vkey, "sig": signature}],
    }
    sample.write(f"statements/{name}.dsse.json", json.dumps(envelope, indent=2, sort_keys=True) + "\n")


def _write_replay(sample: Sample, history: History, folder: str) -> None:
    with JournalWriter(sample.path(f"{folder}/journal.jsonl")) as journal:
        journal.plan(dict(history.header), [send.planned for send in history.sends])
        journal.start(start_ns=history.start_ns, wall_minus_monotonic_ns=0)
        for send in history.sends:
            journal.attempts(
                (one.n, one.attempt, one.sent_ns, one.ack_ns, one.status, one.answer.encode(), one.error, "")
                for one in send.attempts
            )
        sent_count = sum(bool(send.attempts) for send in history.sends)
        journal.end(vars_of(self_check(sent_count=sent_count)))
    write_files(sample.folder / folder, report_of(sample, history))


def _write_left(sample: Sample) -> None:
    """What other commands leave for a bundle."""
    cells = "route,method,persona,verdict\n/,GET,anonymous,match\n/,POST,anonymous,match\n"
    sample.write("data/rbac/matrix.csv", cells)
    code = {"commit": "c" * 40, "is_changed": False, "build": "b" * 16}
    sample.write("data/environment/environment.json", json.dumps({"autocom": code}))
    sample.write("data/rbac/summary.json", json.dumps({**code, "at": TWO_HOURS_BEFORE}))
    sample.write("data/rollback/drill.json", json.dumps({**code, "at": TWO_HOURS_BEFORE, "seconds": 2.5}))
    cells_passed = [
        {"fault": fault, "seed": seed, "planned_count": 5_000, "outcome": "PASS"}
        for fault in ("redis-killed", "poison")
        for seed in (1, 2)
    ]
    bugs = [{"bug": "ack before append", "is_caught": True}]
    faults = {**code, "cells": cells_passed, "planted_bugs": bugs, "started_at": TWO_HOURS_BEFORE}
    sample.write("data/faults/faults.json", json.dumps(faults))


def vars_of(check: Any) -> dict[str, Any]:
    return {name: getattr(check, name) for name in check.__slots__}


def report_of(sample: Sample, history: History) -> Report:
    figures = figures_of(history)
    found = reconcile(history, rows=sample.rows, sends_at_least_count=200)
    result = GeneratorResult(journal_path=Path(), history=history, figures=figures)
    return Report(
        result=result,
        reconciliation=found,
        verdict=judge(figures, found),
        is_drained=False,
        drained_after_seconds=None,
    )


def leaf_of(row: StoredRow, *, kind: str = "") -> bytes:
    return leaf_line(
        kind=kind or ("R" if row.redriven_from_sequence is not None else KINDS[row.place]),
        provider="default",
        message_id=row.message_id,
        event_type=row.event_type,
        ordering_key=row.ordering_key,
        lane=row.lane,
        epoch=row.epoch,
        sequence=row.sequence,
        accepted_us=ACCEPTED_US + row.sequence * 100,
        body_sha256=bytes.fromhex(row.body_sha256),
        content_sha256=sha256(row.message_id.encode()),
        event_id=row.event_id,
    )


def _write_lineage(sample: Sample) -> None:
    batches: dict[int, list[StoredRow]] = defaultdict(list)
    for row in sample.rows:
        batches[row.batch].append(row)
    leaves, table, lines = [], [], {}
    for index, (number, rows) in enumerate(sorted(batches.items()), start=1):
        rows.sort(key=lambda row: row.sequence)
        told = [leaf_of(row) for row in rows]
        hashes = [leaf_hash(line) for line in told]
        stated = (f"{number}\t{at}\t{one.hex()}\t".encode() for at, one in enumerate(hashes))
        leaves += [head + line for head, line in zip(stated, told, strict=True)]
        counts = Counter(row.place for row in rows)
        first = rows[0]
        facts = (number, first.lane, first.epoch, first.sequence, rows[-1].sequence, counts[Place.EVENT])
        more = (counts[Place.DEAD_LETTER], counts[Place.QUARANTINE], 0, root_of_hashes(hashes).hex())
        committed_us = ACCEPTED_US + rows[-1].sequence * 100 + COMMITTED_AFTER_US
        lines[index] = "\t".join(map(str, ("acb1", *facts, *more, committed_us))).encode()
        table += [committed_us - ACCEPTED_US - row.sequence * 100 for row in rows if row.place is Place.EVENT]
    sample.write("data/lineage/leaves.tsv", b"".join(line + b"\n" for line in leaves))
    extra = [f"{row.event_id}\t{PLACES[row.place]}\t-\n" for row in sample.rows]
    sample.write("data/lineage/extra.tsv", "".join(extra))
    sample.write("data/lineage/aliases.tsv", "")
    _write_log(sample, lines)
    _write_histogram(sample, "data/latency/consumer", table)
    _write_histogram(sample, "data/latency/client", ack_latencies_us(sample.history.sends))


def _write_log(sample: Sample, lines: dict[int, bytes]) -> None:
    """Two seals: the start line alone, then every batch."""
    origin = f"{NAME}/events/a1b2c3d4"
    sample.lines = [f"acs1\t{origin}\t-\t0\t-\t1".encode(), *lines.values()]
    hashes = [leaf_hash(line) for line in sample.lines]
    sample.write("data/lineage/batches.tsv", b"".join(b"%d\t%s\n" % pair for pair in lines.items()))
    paths = {index: inclusion_path(hashes, position=index) for index in lines}
    rows = (f"{index}\t{','.join(one.hex() for one in path)}\n" for index, path in paths.items())
    sample.write("data/lineage/proofs.tsv", "".join(rows))
    seal_log(sample, "data/log", origin=origin, ends=[1, len(hashes)] if lines else [1])


def seal_log(sample: Sample, folder: str, *, origin: str, ends: Sequence[int]) -> None:
    previous, first, note = bytes(32), 0, ""
    for number, end in enumerate(ends, start=1):
        segment = b"".join(line + b"\n" for line in sample.lines[first:end])
        root = root_of_hashes([leaf_hash(line) for line in sample.lines[:end]])
        note = signed_note(Checkpoint(origin, end, root).text, [sample.signer])
        seal = SealText(
            origin=origin,
            number=number,
            first_index=first,
            tree_size=end,
            segment_sha256=sha256(segment),
            segment_bytes=len(segment),
            previous_sha256=previous,
            sealed_at="2026-01-01T00:00:00.000000Z",
            note=note,
        ).text
        sample.write(f"{folder}/segments/{number:08d}.txt", segment)
        sample.write(f"{folder}/seals/{number:08d}.txt", seal)
        previous, first = sha256(seal.encode()), end
    sample.write(f"{folder}/checkpoint", note)


def _write_histogram(sample: Sample, name: str, samples_us: Sequence[int]) -> None:
    histogram = HdrHistogram(1, 60_000_000, 3)
    for value in samples_us:
        histogram.record_value(min(max(value, 1), 60_000_000))
    rows, cumulative = ["le_us,count,cumulative"], 0
    for item in histogram.get_recorded_iterator():
        cumulative += item.count_at_value_iterated_to
        highest = histogram.get_highest_equivalent_value(item.value_iterated_to)
        rows.append(f"{highest},{item.count_at_value_iterated_to},{cumulative}")
    sample.write(f"{name}.csv", "\n".join(rows) + "\n")
    with sample.path(f"{name}.hlog").open("w") as file:
        log = HistogramLogWriter(file)
        log.output_log_format_version()
        log.output_legend()
        log.output_interval_histogram(histogram, 0, 1, 1_000)


def _write_audit(sample: Sample) -> None:
    run_id = sample.history.run_id
    acts: list[tuple[str, str, dict[str, Any]]] = [
        ("session.signed_in", "ann", {}),
        ("gate.spec_frozen", "gate sample", {"gate": "sample", "sha256": hashlib.sha256(SPEC.encode()).hexdigest()}),
        ("replay.run", f"run {SMOKE_ID}", _run_facts(sample, SMOKE_ID, gate="smoke", folder="data/smoke")),
        ("replay.run", f"run {run_id}", _run_facts(sample, run_id, gate="sample", folder="data/replay")),
    ]
    previous, bodies = bytes(32), []
    for number, (act, subject, facts) in enumerate(acts, start=1):
        entry = {
            "act": act,
            "actor": "os:ann",
            "actor_kind": "person",
            "at": "2026-01-01T00:00:00.000000Z",
            "facts": facts,
            "format": "autocom-audit/1",
            "number": number,
            "previous_sha256": previous.hex(),
            "reason": "",
            "subject": subject,
        }
        bodies.append(canonical_json(entry))
        previous = sha256(bodies[-1])
    head = canonical_json({"head": {"entry_sha256": previous.hex(), "number": len(bodies)}})
    told = [b'{"entry":%s,"entry_sha256":"%s"}' % (body, sha256(body).hex().encode()) for body in bodies]
    sample.write("data/audit/entries.jsonl", b"\n".join([head, *told]) + b"\n")
    origin = f"{NAME}/audit/d4c3b2a1"
    start = f"acs1\t{origin}\t-\t0\t-\t1".encode()
    sample.write("data/audit/start-line.txt", start + b"\n")
    root = root_of_hashes([leaf_hash(line) for line in (start, *bodies)])
    checkpoint = signed_note(Checkpoint(origin, len(bodies) + 1, root).text, [sample.signer])
    sample.write("data/audit/checkpoint", checkpoint)


def _run_facts(sample: Sample, run_id: str, *, gate: str, folder: str) -> dict[str, Any]:
    files = {name: sample.digest(f"{folder}/{name}") for name in ("journal.jsonl", "summary.json")}
    counts = {"planned": len(sample.history.sends), "lost": None}
    return {"run_id": run_id, "gate": gate, "files": files, "counts": counts, "verdict": "PASS"}


def _write_verdict(sample: Sample) -> None:
    sample.write("data/gate/spec.json", SPEC)
    acts = read_acts(sample.folder / "data/audit/entries.jsonl")
    freeze = freeze_before(acts, gate="sample", run_id=sample.history.run_id)
    assert freeze is not None
    rows = [",".join(row) + "\n" for row in (COLUMNS, *runs_since(acts, freeze))]
    sample.write("data/gate/runs.csv", "".join(rows))
    sample.write("data/missing.json", json.dumps([{"path": "data/budget/ledger.csv", "why": "it comes later"}]) + "\n")
    spec, history = GateSpec.parse(SPEC.encode()), sample.history
    told = json.loads(json.dumps(summary(report_of(sample, history))))
    figures = {**told, **facts_of(sample.folder)}
    ended_at = datetime.fromtimestamp(history.wall_ns(history.end_ns) // 1_000_000_000, tz=UTC)
    missing = ["data/budget/ledger.csv"]
    verdict = evaluate(spec, figures, missing=missing, doubts=told["doubts"], ended_at=ended_at)
    sample.write("data/gate/verdict.json", json.dumps(verdict.as_json(), indent=2, sort_keys=True) + "\n")


def pack(folder: Path, archive: Path) -> None:
    """As bundles are packed: members sorted, nothing of this machine in them."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            member = tarfile.TarInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}")
            member.size = path.stat().st_size
            tar.addfile(member, path.open("rb"))
    archive.write_bytes(packed.getvalue())
