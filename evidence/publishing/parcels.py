"""What is sent: an artifact, and for a bundle a small registration beside it. Each goes under its own digest."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO, Self

from django.utils.http import content_disposition_header

from autocom.kernel.canonical_json import canonical_json
from evidence.errors import EvidenceError
from evidence.models import Artifact, Bundle
from evidence.store import open_artifact

CHUNK_BYTES = 65_536
REGISTRATION = "autocom-registration/1"


class ArtifactCutShort(EvidenceError):
    """The store has fewer bytes of an artifact than were registered: it was changed there."""

    code = "artifact_cut_short"

    def __init__(self, sha256: str, *, size_bytes: int) -> None:
        super().__init__(
            f"the store has less of {sha256} than its {size_bytes:,} bytes: verify it, and upload it again"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """Bytes that can be read more than once, and their names."""

    sha256: str
    size_bytes: int
    name: str
    opened: Callable[[], BinaryIO]

    @classmethod
    def of_bytes(cls, content: bytes, *, name: str) -> Self:
        digest = hashlib.sha256(content).hexdigest()
        return cls(sha256=digest, size_bytes=len(content), name=name, opened=lambda: BytesIO(content))

    @property
    def disposition(self) -> str:
        """The name as a header, for who keeps one."""
        return content_disposition_header(True, self.name) or "attachment"

    @property
    def digests(self) -> dict[str, str]:
        """The digest of the whole as headers: RFC 9530's, and the plain one that simple stores log."""
        as_base64 = base64.b64encode(bytes.fromhex(self.sha256)).decode()
        return {"Repr-Digest": f"sha-256=:{as_base64}:", "X-Checksum-Sha256": self.sha256}

    def chunks(self, first: int, end: int) -> Iterator[bytes]:
        """The bytes from `first` to before `end`."""
        with self.opened() as file:
            file.seek(first)
            left = end - first
            while left and (chunk := file.read(min(left, CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk
            if left:
                raise ArtifactCutShort(self.sha256, size_bytes=self.size_bytes)


def parcels_of(artifact: Artifact) -> list[Parcel]:
    """The artifact last: once its link is known, everything is there."""
    sha256 = artifact.sha256
    upload = artifact.uploads.order_by("pk").first()
    name = upload.name if upload else f"{sha256}.bin"
    whole = Parcel(sha256=sha256, size_bytes=artifact.size_bytes, name=name, opened=lambda: open_artifact(sha256))
    bundle = Bundle.objects.filter(artifact=artifact).first()
    return [whole] if bundle is None else [Parcel.of_bytes(registration(bundle, artifact), name=f"{name}.json"), whole]


def registration(bundle: Bundle, artifact: Artifact) -> bytes:
    """Which content the archive has, for who holds only the endpoint. The same bundle has the same bytes, always."""
    return canonical_json(
        {
            "format": REGISTRATION,
            "archive": {"sha256": artifact.sha256, "size_bytes": artifact.size_bytes},
            "sums_sha256": bundle.sums_sha256,
            "run_id": bundle.run_id,
            "gate": bundle.gate,
            "gate_version": bundle.gate_version,
            "verdict": bundle.verdict,
        }
    )
