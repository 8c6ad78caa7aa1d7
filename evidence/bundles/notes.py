"""AUDIT.md: how an outsider checks the bundle with tools that are not ours."""

from __future__ import annotations

from pathlib import Path

from evidence.bundles.parts.files import write
from evidence.gates.evaluate import GateVerdict

TEXT = """\
# How to check this bundle

Verdict of gate {gate}, version {version}, over run {run_id}: **{outcome}**.

Everything below needs `sha256sum`, `openssl` 3 and `python3` (3.9 or newer), and nothing of autocom. Run it in this
folder. The key that signed is

    {vkey}

Compare it with the one that you got elsewhere: from the service's public log page, from an earlier bundle, or from the
people who run it. A bundle cannot vouch for its own key.

## 1. No file was changed, and none is missing

```sh
sha256sum --check --strict --quiet SHA256SUMS && echo files match
```

Expected: `files match`. A file that is in no list is found by the last step.

## 2. The list was signed

```sh
openssl pkeyutl -verify -rawin -pubin -inkey keys/log.pub.pem -in SHA256SUMS -sigfile SHA256SUMS.sig
```

Expected: `Signature Verified Successfully`.

## 3. Each statement was signed by itself

A statement is a DSSE envelope: what is signed is its type and its payload, each with its length.

```sh
for name in {statements}; do
  python3 -I -c 'import base64,json,sys
e = json.load(open(sys.argv[1]))
t, p = e["payloadType"].encode(), base64.b64decode(e["payload"])
open("/tmp/pae", "wb").write(b"DSSEv1 %d %s %d %s" % (len(t), t, len(p), p))
open("/tmp/sig", "wb").write(base64.b64decode(e["signatures"][0]["sig"]))' statements/$name.dsse.json
  openssl pkeyutl -verify -rawin -pubin -inkey keys/log.pub.pem -in /tmp/pae -sigfile /tmp/sig
done
```

Expected: `Signature Verified Successfully` for each.

## 4. The figures and the verdict follow from the raw files

```sh
python3 -I verify.py . --key keys/log.vkey
```

Expected: exit status 0 and no finding. It reads the journal and the leaves of every event, computes each figure of
`data/replay/summary.json` and the verdict again, follows each event into its batch, the batch into the log and the log
into its signed checkpoint, and checks the chain of the audit log. Give your own copy of the key in place of
`keys/log.vkey`, and checkpoints that you kept with `--kept FILE`.

## What is where

`report.html` and `report.md` are for reading; `data/gate/verdict.json` is the verdict, `data/missing.json` says what is
not here and why. `data/replay` is the sender's record, `data/lineage` the way of each event into the log, `data/log`
the log's checkpoint with the segments that hold the run, `data/audit` what people and processes did until then.
"""


def write_notes(bag: Path, verdict: GateVerdict, *, vkey: str) -> None:
    """Before the statements are written: they are named by what there will be."""
    there = ["replay", "verdict", *(["faults"] if (bag / "data/faults/faults.json").is_file() else [])]
    text = TEXT.format(
        gate=verdict.gate,
        version=verdict.version,
        run_id=verdict.run_id,
        outcome=verdict.outcome.value,
        vkey=vkey,
        statements=" ".join(there),
    )
    write(bag / "AUDIT.md", text)
