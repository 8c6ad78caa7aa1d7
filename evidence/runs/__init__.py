"""Replay runs that left their files: what a bundle is made of.

A run's folder holds the journal, samples, histogram and summary that the replay wrote, and, captured when the run had
ended, `environment.json` and `receiver.hlog`. An audit entry names the digest of each.
"""
