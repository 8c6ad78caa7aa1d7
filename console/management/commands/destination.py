"""`manage.py destination VERB`: each verb is a module of `console.management.destination`."""

from __future__ import annotations

from types import ModuleType

from console.management.destination import add, disable, enable, remove
from console.management.destination import list as list_all
from console.management.verbs import VerbCommand
from evidence.sends import DestinationInvalid

VERBS: tuple[ModuleType, ...] = (add, list_all, enable, disable, remove)


class Command(VerbCommand):
    help = "Addresses that are told of alerts or forwarded events. Exit 0: done. 1: failed. 2: wrong usage."
    examples = ("destination add pager https://alerts.example.com/hook", "destination list")
    name = "destination"
    verbs = VERBS
    wrong_usage = DestinationInvalid
