"""From an artifact of ours to the central endpoint, another autocom or any store that takes PUT.

An artifact's way, a file for each step; what is true after it, and what a crash there loses:

1. `asking`    a person's wish is a row and an audit entry, or a refusal while the mode forbids it.
2. `claims`    one process holds the row for a while. A crash loses nothing: the time runs out and the next one goes on.
3. `sending`   the endpoint has the bytes, by `exchange` (one request) in pieces where it takes those; what an attempt
               did not bring over, the next one does. A crash repeats a piece at most.
4. `answers`   what an answer means: stored, go on, later, or never. Pure.
5. `claims`    the row is PUBLISHED with the endpoint's link, FAILED with the reason, or due again after a rest.

`publisher` runs 2 to 5 beside the ops worker's jobs, `parcels` says what is sent.
"""

from evidence.publishing.asking import ask

__all__ = ["ask"]
