"""A log's tree for whoever asks from outside: tiles and consistency proofs, without hashing the log for each answer.

`ranges` says which subtrees an answer is made of, `nodes` keeps the roots of every 256, 65,536, … leaves in flat files,
`tree` puts the two together. The files are a shortcut and nothing else: without them the same answer is computed from
the rows, and a proof that does not fit the signed checkpoints is made once more without them before it leaves.
"""
