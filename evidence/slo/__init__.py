"""Service level objectives as data: what is promised, how it is counted, and what has no budget at all."""
