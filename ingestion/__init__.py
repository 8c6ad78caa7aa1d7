"""From a provider's POST to a committed event.

A webhook's life, a file for each step; what is true after it, and what a crash there loses:

1. `receive`   size and length checked, raw body read once. Nothing promised: the provider retries.
2. `verify`    the provider's adapter has checked the signature over the raw bytes. Nothing promised.
3. `identify`  the delivery is 1..N events with identities. Nothing promised.
4. `accept`    one atomic step in Redis: each event is on its lane, fsynced, and the lane's drain job is due. Promised
by a receipt;
               a crash before the answer leaves a stored event that the provider's retry finds as a duplicate.
5. `drain`     a worker holds the lane's lease and has read a batch. A crash loses nothing: the next lease reads it
again.
6. `commit`    batch, events, deliveries and the lane's cursor are in PostgreSQL, in one transaction.
7. trim        (in `drain`) the entries left the lane. A crash just before repeats 5 and 6; the unique identity
absorbs it.
8. `dead_letters`  an event that can never be stored stands apart with its bytes and its error.
9. `redrive`   a person has it sent again, through 5 and 6, or gives it up.
"""
