"""Minutes or hours at a steady rate: does anything grow that should not, and was every promise kept?

    python -m bench.soak [--seconds 600] [--rate 1000] [--out FOLDER]      or: make soak SECONDS=600 RATE=1000

1. `stacks`   (of bench) a PostgreSQL, a Valkey and all of autocom's processes, started for this run alone.
2. `sample`   while the replay's generator offers the rate in an open loop, every five seconds: memory, descriptors,
              threads and CPU of each process; Redis; PostgreSQL.
3. `windows`  ack and commit latency of the same five seconds, from the sender's journal and from the tables.
4. `series`   what was sampled as series, each with its rule: flat, or growing by nature at a known rate.
5. `trend`    slope and verdict of each, by the rule written there.
6. `report`   table, JSON, CSV and Markdown; and the replay's reconciliation: lost, duplicated, ... must all be 0.

Exit 0: everything flat or as expected, nothing lost. 1: something grows, a process died, or a promise was broken.
3: too short to say, or the generator could not offer the rate.
"""
