"""What a decision is bound to: the code, the settings, the specification and the bytes that it was made on."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from autocom.kernel.canonical_json import canonical_json
from autocom.kernel.digest import sha256
from evidence.decisions.errors import DecisionRefused
from evidence.decisions.running import configuration_sha256
from evidence.models import Bundle
from evidence.store import open_artifact
from evidence.store.digests import CHUNK_BYTES
from evidence.store.errors import StoreError

ENVIRONMENT, SPEC, VERDICT = "data/environment/environment.json", "data/gate/spec.json", "data/gate/verdict.json"
READ = frozenset({ENVIRONMENT, SPEC, VERDICT})
IN_MEMORY_BYTES = 1 << 24
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decidable:
    """A bundle as it lies in the store now. `verdict` is its verdict.json; `binding` has a text for each name."""

    verdict: Mapping[str, Any]
    binding: Mapping[str, str]


def decidable(bundle: Bundle) -> Decidable:
    """Read from the stored bytes, whose digest is checked. Raises DecisionRefused where they are not what they were."""
    files = _files(bundle)
    spec, environment = files[SPEC], json.loads(files[ENVIRONMENT])
    autocom = environment["autocom"]
    binding = {
        "commit": str(autocom["commit"]),
        "uncommitted_changes": {True: "yes", False: "no"}.get(autocom["is_changed"], UNKNOWN),
        "build": str(autocom["build"]),
        "lock_file_sha256": str(environment["lock_file_sha256"]),
        "configuration_sha256": configuration_sha256(environment["settings"]),
        "spec_sha256": sha256(spec).hex(),
        "bundle_sha256": str(bundle.artifact_id),
        "evidence_sha256": bundle.sums_sha256,
    }
    return Decidable(verdict=json.loads(files[VERDICT]), binding=binding)


def digest_of_binding(binding: Mapping[str, str]) -> str:
    """In hexadecimal."""
    return sha256(canonical_json(dict(binding))).hex()


def _files(bundle: Bundle) -> Mapping[str, bytes]:
    digest = hashlib.sha256()
    try:
        with open_artifact(str(bundle.artifact_id)) as stored, SpooledTemporaryFile(IN_MEMORY_BYTES) as copy:
            while chunk := stored.read(CHUNK_BYTES):
                digest.update(chunk)
                copy.write(chunk)
            if digest.hexdigest() != bundle.artifact_id:
                raise DecisionRefused("the stored bundle is not the one that was made: its bytes have changed")
            copy.seek(0)
            found = _members(copy)
    except (StoreError, OSError, tarfile.TarError) as error:
        raise DecisionRefused(f"the bundle cannot be read: {error}") from error
    if missing := sorted(READ - found.keys()):
        raise DecisionRefused(f"the bundle has no {', '.join(missing)}, and nothing is decided without")
    return found


def _members(archive: IO[bytes]) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=archive, mode="r|gz") as tar:
        for member in tar:
            path = member.name.partition("/")[2]
            file = tar.extractfile(member) if path in READ else None
            if file is not None:
                found[path] = file.read()
    return found
