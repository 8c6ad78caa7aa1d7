"""Why bytes did not become evidence, or are none any more."""

from __future__ import annotations

from evidence.errors import EvidenceError


class StoreError(EvidenceError):
    """The root of the store's errors: nothing was stored."""

    code = "evidence_store_error"


class DigestInvalid(StoreError):
    code = "evidence_digest_invalid"

    def __init__(self, given: str) -> None:
        super().__init__(f"{given[:80]!r} is no SHA-256 digest: write its 64 hexadecimal digits, as sha256sum does")


class TooLarge(StoreError):
    code = "evidence_too_large"

    def __init__(self, *, limit_bytes: int) -> None:
        super().__init__(f"more than {limit_bytes} bytes, the limit of one artifact (EVIDENCE_LIMIT_BYTES)")
        self.limit_bytes = limit_bytes


class Incomplete(StoreError):
    """Fewer or more bytes came than were announced."""

    code = "evidence_incomplete"

    def __init__(self, *, declared_bytes: int, came_bytes: int) -> None:
        super().__init__(f"{declared_bytes} bytes were announced and {came_bytes} came: send it again")


class ChecksumMismatch(StoreError):
    code = "evidence_checksum_mismatch"

    def __init__(self, *, declared: str, found: str) -> None:
        super().__init__(f"the bytes have the SHA-256 {found}, not {declared} as declared: nothing was stored")


class QuotaReached(StoreError):
    code = "evidence_quota_reached"

    def __init__(self, *, quota_bytes: int, stored_bytes: int, size_bytes: int) -> None:
        super().__init__(
            f"{stored_bytes} of {quota_bytes} bytes are in use, and this takes {size_bytes}: "
            "raise EVIDENCE_QUOTA_BYTES, since evidence is not deleted"
        )


class PartialBusy(StoreError):
    """Another request adds to the same partial upload."""

    code = "evidence_upload_busy"
    retryable = True

    def __init__(self) -> None:
        super().__init__("another request is adding to this upload: ask how much is there and go on from it")


class TooManyPartials(StoreError):
    code = "evidence_too_many_partial_uploads"
    retryable = True

    def __init__(self, *, limit_count: int) -> None:
        super().__init__(f"{limit_count} uploads are unfinished already: finish one, or wait a day for them to go")


class StoreUnavailable(StoreError):
    """The disk or the object store does not do its work."""

    code = "evidence_store_unavailable"
    retryable = True


class ArtifactUnknown(StoreError):
    code = "evidence_unknown"

    def __init__(self, sha256: str) -> None:
        super().__init__(f"no artifact has the SHA-256 {sha256}: `manage.py evidence list` shows what there is")


class ArtifactMissing(StoreError):
    code = "evidence_missing"

    def __init__(self, sha256: str) -> None:
        super().__init__(f"the bytes of {sha256} are not in the store: restore them, or upload the same file again")


class ArtifactChanged(StoreError):
    """What stands at an artifact's address is not what was put there. It is left as it is, to be looked into."""

    code = "evidence_changed"

    def __init__(self, sha256: str, *, found: str) -> None:
        super().__init__(f"what stands in the store as {sha256} is {found}: somebody changed the store")
        self.found = found
