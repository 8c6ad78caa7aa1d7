"""Deciding over what was set aside: dead letters and quarantined events, one or many.

1. `chosen`   the letters that were ticked, or the open ones that match the list's filter, up to the bound of one act.
2. `plan`     what the act would do to each of them, and in sums. Nothing has changed yet.
3. `decide`   the preview page; its form carries what was foreseen, so that what changed meanwhile is shown, not done.
4. `outcome`  the page of an act that was done: who, why, and what has become of each letter since.
"""
