"""Why something was not entered as evidence."""

from autocom.kernel.errors import AutocomError


class EvidenceError(AutocomError):
    """The root of this app's errors."""

    code = "evidence_error"


class OutsideTransaction(EvidenceError):
    """An audit entry was to be written where no transaction is open: it could stay without its act, or go with none."""

    code = "audit_outside_transaction"

    def __init__(self) -> None:
        super().__init__(
            "an audit entry is written inside the transaction of its act: open it with transaction.atomic()"
        )


class AuditLogBusy(EvidenceError):
    """Another act holds the log's head for longer than anybody should wait. Nothing was done."""

    code = "audit_log_busy"
    retryable = True

    def __init__(self) -> None:
        super().__init__("another act has not ended, and the audit log waits for it: nothing was done, try again")
