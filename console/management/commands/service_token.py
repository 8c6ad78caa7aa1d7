"""`manage.py service_token VERB`: each verb is a module of `console.management.service_token`."""

from __future__ import annotations

from types import ModuleType

from console.management.service_token import create, revoke, rotate
from console.management.service_token import list as list_all
from console.management.verbs import VerbCommand
from console.service_tokens.errors import TokenSettingWrong

VERBS: tuple[ModuleType, ...] = (create, list_all, rotate, revoke)


class Command(VerbCommand):
    help = "Tokens for programs that use the API. Exit 0: done. 1: failed. 2: wrong usage."
    examples = ("service_token create ci --scope evidence:read", "service_token list")
    name = "service_token"
    verbs = VERBS
    wrong_usage = TokenSettingWrong
