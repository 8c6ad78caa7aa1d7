"""Which lane an event rides. One ordering key always rides one lane, so its order is the lane's order."""

import hashlib


def lane_of(*, provider: str, ordering_key: str, lane_count: int) -> int:
    """Stable over processes, machines and versions.

    Changing `lane_count` moves keys, so lanes must be empty for that.
    """
    key = f"{provider}\x00{ordering_key}".encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(key, digest_size=8).digest()
    return int.from_bytes(digest, "big") % lane_count
