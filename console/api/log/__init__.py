"""The logs, for everybody: read-only, without sign-in, in C2SP's formats (tlog-checkpoint, tlog-tiles, signed-note).

Nothing here names a person or holds a payload: the lines of `events` are counts and digests, and of `audit`, whose
lines name people, only hashes are given. The one thing that is taken is a witness's countersignature.
"""
