"""Was every promise kept? Every receipt is looked for among the rows, each by its event id, place and body digest.

1. `walk`       Redis remembers what it promised, in order. Each promise is read once it is 60 s old, then round and
                round for as long as it is remembered.
2. `fates`      where the rows have them: events, dead letters, quarantined or aged events, or late duplicates.
3. `waiting`    what no table has may still be on its lane: late, not lost. What the lanes say they were given and
                neither hold nor have settled is a gap.
4. `incidents`  what is nowhere, or not as it was promised, is on record with an audit entry.
5. `check`      all of it, in a bounded time: what the checker's job runs.

`answer` says the same of one receipt that somebody brings.
"""
