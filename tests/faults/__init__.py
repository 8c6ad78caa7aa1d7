"""The fault suite: load, one fault at a random moment of it, and the oracle's judgement. `make faults` runs it whole.

1. `stack`: the service as `manage.py up` runs it, with PostgreSQL and Valkey of its own that a fault may kill.
2. `scenarios`: one fault each: what is done to the running service, and how it is healed.
3. `trial`: 5,000 webhooks by the replay's generator; once enough are in flight the fault strikes; afterwards the lanes
   must drain by themselves. `judge`, a process of its own, is the oracle: the replay's `reconcile`, and what only
   PostgreSQL can tell (Merkle roots, incidents, cursors and fences that went back).
4. `injected`: what a fault or a planted bug changes inside the processes, loaded by them from PYTHONPATH. The code
   under test knows nothing of it.
5. `bugs`: each takes one safety away; a suite that does not notice is worth nothing.
6. `results`: the table fault x seed, for people (Markdown) and for evidence bundles (JSON).
"""

import os

# as autocom.settings sets it: RQ reads it at import, and the suite itself has no settings
os.environ.setdefault("RQ_KEY_PREFIX", "{autocom}:rq")
