"""One module a group of parts. `collect(run, into)` writes the group's files below `into`, or raises NotThere.

`PATHS` are the files that a bundle misses where the group is not there.
"""
