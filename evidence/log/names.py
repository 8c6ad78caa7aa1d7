from enum import StrEnum


class LogName(StrEnum):
    """`events`: a line for each committed batch. `audit`: the canonical bytes of each audit entry."""

    EVENTS = "events"
    AUDIT = "audit"
