"""What a source said, or why it said nothing. A source that is silent silences no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.db import Error

from autocom.kernel.errors import AutocomError
from ingestion.buffer.store import BufferUnavailable

UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Asked[Value]:
    """`value` None with `why`: it could not be asked. None without: there is none."""

    value: Value | None = None
    why: str = ""


def ask[Value](source: Callable[[], Value]) -> Asked[Value]:
    """Never raises for a source that is down or holds what cannot be read."""
    try:
        return Asked(source())
    except BufferUnavailable:
        return Asked(why="Redis cannot be asked")
    except Error as error:
        return Asked(why=f"PostgreSQL cannot be asked: {type(error).__name__}")
    except OSError as error:
        return Asked(why=error.strerror or type(error).__name__)
    except (AutocomError, ValueError, LookupError, TypeError) as error:
        return Asked(why=str(error))
