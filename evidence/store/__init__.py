"""Bytes that somebody keeps as evidence, under their own digest.

1. `staging`   the stream is written to a name of its own, counted and hashed on the way, and is durable. A crash leaves
               a file that counts as nothing and goes after a day.
2. `partial`   the same for an upload in several requests: what came so far waits for the rest, for a day.
3. `keep`      checksum, quota, then the bytes get their place (`places`) and a row. Bytes without one are no artifact.
4. `register`  who brought them, under which name, why; with its audit entry, in the caller's transaction.
5. `reads`     what is there, and whether it still is what it was (`verification`).

Nothing is ever overwritten, and evidence does not age out. The address is made of the digest alone: no name, header or
column of a sender is ever part of a path.
"""

from evidence.store.keep import keep, put
from evidence.store.reads import open_artifact, verification
from evidence.store.register import register
from evidence.store.staging import Staged, staging

__all__ = ["Staged", "keep", "open_artifact", "put", "register", "staging", "verification"]
