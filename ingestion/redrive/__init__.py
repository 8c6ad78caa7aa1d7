"""A dead letter or a quarantined event gets another try, or is given up. A person decides; this is the machine's side.

A retry's life, a file for each step; what is true after it, and what a crash there leaves:

1. `forecast`  says what a retry would come to. Nothing changes.
2. `retry`     the row is RETRYING and its attempt is written down, in the caller's transaction. A crash before COMMIT
               leaves it open; after COMMIT the sweep finds it and goes on with 3.
3. `send`      the entry (kind R) is on the lane of its ordering key, at a new sequence. A crash before that is noted
               sends it twice: both entries carry the number of the attempt, and only the first is wanted.
4. `settle`    within the commit of its batch: the event is stored and the row RETRIED, or the row is open again with
               the new error. One transaction; a batch that comes again finds the attempt settled and leaves it alone.

`discard` sets a state and a reason. Bytes and rows stay until retention takes them.
"""
