"""Long work that people ask for in the console: a row says what, a process of its own does it, a lock says it lives.

1. A page writes the order in the asker's transaction. It waits; a crash loses nothing.
2. `start`: the ops queue's job takes the oldest and starts `manage.py … --order NUMBER`, which outlives whoever started
   it. A crash in between leaves an order that is running and that nobody does: after a minute it counts as dead.
3. `life`: the process holds a lock of the file system while it lives. The kernel lets it go however the process ends,
   so a kill is seen at once, by everybody who sees EVIDENCE_ROOT.
4. `stop`: a person asks; the process sees it within a second, ends in order, and the row says who asked.
5. `start` also buries the dead: the row says so, and the next order may begin.
"""
