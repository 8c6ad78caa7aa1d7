"""Those who keep our checkpoints elsewhere, so that a rewritten history shows.

`witness` is what they run: a program of the standard library that pulls checkpoints, checks each against the one it
kept, and countersigns. `cosign` is our side: a countersignature is stored only if a witness that we know made it over a
checkpoint that we signed. autocom itself sends nothing to anybody.
"""
