"""Why a countersignature was not taken. Nothing was stored."""

from autocom.kernel.errors import AutocomError


class CosignatureRefused(AutocomError):
    code = "cosignature_refused"


class CosignatureMalformed(CosignatureRefused):
    """What came is no checkpoint with signature lines."""

    code = "cosignature_malformed"


class CheckpointUnknown(CosignatureRefused):
    """The checkpoint under it is none that this log signed."""

    code = "cosignature_checkpoint_unknown"


class WitnessUnknown(CosignatureRefused):
    """None of the signatures is by a key in WITNESS_KEYS."""

    code = "cosignature_witness_unknown"


class CosignatureInvalid(CosignatureRefused):
    """It names a witness that we know, who did not sign this."""

    code = "cosignature_invalid"
