"""Why something cannot be sealed or proved."""

from autocom.kernel.errors import AutocomError


class SealingRefused(AutocomError):
    """The log does not grow until somebody has looked: sealing on would hide a loss."""

    code = "sealing_refused"


class NoSigningKey(SealingRefused):
    code = "no_signing_key"

    def __init__(self) -> None:
        super().__init__("LOG_SIGNING_KEY is not set where the ops worker runs: nothing is sealed")


class NotStored(AutocomError):
    """No event, dead letter or quarantined event has this id, so there is nothing to prove."""

    code = "not_stored"


class NotSealedYet(AutocomError):
    """It is committed; the sealer has not come by yet."""

    code = "not_sealed_yet"
