"""How near Redis is to its limit of memory, looked at from outside the request path.

At the limit Redis refuses every write that needs memory, a drain's lease and RQ's books among them: lanes could not be
emptied any more. So deliveries are refused while a part of it is still free, which drains then work with.
"""

from __future__ import annotations

from dataclasses import dataclass

import redis

FREE_SHARE = 0.1  # of maxmemory


@dataclass(slots=True)
class BufferMemory:
    """The last look, and whether it allows more deliveries."""

    used_bytes: int = 0
    limit_bytes: int = 0  # 0: Redis has none

    @property
    def is_short(self) -> bool:
        return self.limit_bytes > 0 and self.used_bytes > self.limit_bytes * (1 - FREE_SHARE)

    def look(self, client: redis.Redis) -> None:
        """What Redis itself compares with its limit: without replicas' and append-only buffers. Raises RedisError."""
        found = client.info("memory")
        self.limit_bytes = int(found["maxmemory"])
        self.used_bytes = int(found["used_memory"]) - int(found.get("mem_not_counted_for_evict", 0))


MEMORY = BufferMemory()
