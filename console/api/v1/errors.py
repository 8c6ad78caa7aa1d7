"""Why the API did nothing."""

from __future__ import annotations

from typing import ClassVar

from autocom.kernel.errors import AutocomError


class RequestInvalid(AutocomError):
    """A parameter, a header or the body is not what the operation takes."""

    code: ClassVar[str] = "request_invalid"


class NotHere(AutocomError):
    """No such thing, or no such address."""

    code: ClassVar[str] = "not_found"


class BundleTooLarge(AutocomError):
    """Verifying it takes longer than an answer may."""

    code: ClassVar[str] = "bundle_too_large"


class ProofMissing(AutocomError):
    """There is no proof of the event, yet or any more."""

    code: ClassVar[str] = "proof_missing"


class KeyReused(AutocomError):
    """The Idempotency-Key came before with another request."""

    code: ClassVar[str] = "idempotency_key_reused"


class KeyUnderWay(AutocomError):
    """The first request with this Idempotency-Key has not been answered."""

    code: ClassVar[str] = "idempotency_key_under_way"
    retryable: ClassVar[bool] = True
