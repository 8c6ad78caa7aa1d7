"""The fault suite: load, one fault at a random moment of it, and the oracle's judgement. `make faults` runs it whole.

1. `stack`: the service as `manage.py up` runs it, with PostgreSQL and Valkey of its own that a fault may kill.
2. `scenarios`: one fault each: what is done to the running service, and how it is healed.
3. `trial`: 5,000 webhooks by the replay's generator; once enough are in flight the fault strikes; afterwards the lanes
   must drain by themselves. The replay's own `reconcile` is the oracle; `invariants` asks PostgreSQL for what the
   journal cannot know.
4. `injected`: what a fault or a planted bug changes inside the processes, loaded by them from PYTHONPATH. The code under
   test knows nothing of it.
5. `bugs`: each takes one safety away; a suite that does not notice is worth nothing.
6. `results`: the table fault x seed, for people (Markdown) and for evidence bundles (JSON).
"""
