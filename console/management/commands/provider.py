"""`manage.py provider VERB`: each verb is a module of `console.management.provider`."""

from __future__ import annotations

from types import ModuleType

from console.management.provider import (
    add,
    certificate,
    diagnose,
    disable,
    enable,
    rekey,
    revoke,
    rotate,
    show,
    test,
    verify_stored,
)
from console.management.provider import list as list_all
from console.management.verbs import VerbCommand
from ingestion.provider_changes.errors import SettingRefused

VERBS: tuple[ModuleType, ...] = (
    add,
    list_all,
    show,
    rotate,
    revoke,
    enable,
    disable,
    test,
    diagnose,
    verify_stored,
    certificate,
    rekey,
)


class Command(VerbCommand):
    help = "Add, show and change providers and their secrets. Exit 0: done. 1: failed, nothing changed. 2: wrong usage."
    examples = (
        "provider add shop --scheme shopify --secret-file -",
        "provider rotate shop --overlap 24h",
        "provider diagnose shop",
    )
    name = "provider"
    verbs = VERBS
    wrong_usage = SettingRefused
