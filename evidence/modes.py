"""How far autocom may go in the outside world. On any doubt it is OBSERVER."""

from __future__ import annotations

import logging
from enum import StrEnum

from django.apps import apps

log = logging.getLogger(__name__)


class Mode(StrEnum):
    OBSERVER = "OBSERVER"
    LIMITED = "LIMITED"
    PRODUCTION = "PRODUCTION"

    @property
    def rank(self) -> int:
        return tuple(Mode).index(self)


def current_mode() -> Mode:
    """As the newest change says, if it holds here and now: `evidence.mode_standing`. Never raises."""
    if not apps.ready:  # the standing is a table's
        return Mode.OBSERVER
    from evidence.mode_standing import standing

    return standing().mode
