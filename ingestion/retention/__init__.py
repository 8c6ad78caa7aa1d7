"""What is kept for how long, and how the rest goes.

Oldest first, a thousand rows at a time, each time in a short transaction of its own; a crash leaves what was done done,
and the next run begins at the oldest row that is left. In this order:

1. `bodies`   after RETENTION_BODY_DAYS: payloads of events, then deliveries (raw body, headers), then dead letters
              that are settled. Nothing that an open dead letter or a quarantined event needs.
2. `events`   after RETENTION_EVENT_DAYS: event rows. First the batch must prove itself; its leaf hashes stay for
              ever, and a narrow row knows the identity again. A batch that does not prove itself keeps its rows.
3. `others`   rows that stand for themselves: duplicates, identities (RETENTION_IDENTITY_DAYS), figures, samples.

Batches stay. `bounds` says which of them may not be touched yet.
"""
