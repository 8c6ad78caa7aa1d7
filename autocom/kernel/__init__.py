"""What every app may use and what uses nothing of ours.

Clock, digests, environment reader, errors, ids, Merkle trees.
"""
