"""The replay: offer a planned stream of webhooks to the service, then prove or disprove every promise it made.

1. `events`, `recording`: the bodies to send, made from a seed or read from a file. Same seed and run id: same bytes.
2. `schedule`: which body leaves at which moment, deliberate duplicates included. Nothing is decided later than here.
3. `generator`: a process of its own, without Django, that follows the plan in an open loop. Before its first send the
   whole plan is on disk (`journal`); a crash after that loses outcomes, never the knowledge of what was to be sent.
4. `history`: the journal read back: what was sent, when, and what was answered.
5. `figures`: counts and percentiles of the history. `stored`: the rows that PostgreSQL has for this run.
6. `reconcile`: history against rows: lost, duplicated, unexpected, corrupted, out of order, mistaken for another.
7. `verdict`: PASS, FAIL or INCONCLUSIVE from the two, criterion by criterion. `report` says it to people and machines.
"""
