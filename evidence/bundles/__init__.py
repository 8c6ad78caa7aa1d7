"""Evidence bundles: made of a run, and verified by one file that needs nothing of ours."""
