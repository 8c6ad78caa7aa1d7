"""The tamper suite: what somebody with every right does to the stored history, and who finds it.

`cases` is the table. Each case gets a copy of one history (`arena`): a database of its own and the files of its logs.
`python -m tests.tamper` prints what was found as a Markdown table; `docs/tamper.md` has it for readers.
"""
