"""The two logs in which everything is sealed: RFC 6962 trees over lines of text, with signed checkpoints.

`seal` is the one writer, a leased job. Rows are the truth; segments, seal files and the checkpoint on disk are a pure
function of them. `check` derives everything again and says what does not fit.
"""
