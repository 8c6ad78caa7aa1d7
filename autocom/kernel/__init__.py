"""What every app may use and what uses nothing of ours: clock, digests, environment reader, errors, ids, Merkle trees."""
