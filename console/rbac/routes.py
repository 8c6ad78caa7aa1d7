"""Every route that the resolver knows, with one address of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern

DIGEST = "5" * 64
ANYTHING = "<anything>"
# For each argument of a route a value that fits. Of rows that a page looks for before it asks who may see it, the
# probe makes one (console/rbac/rows.py).
SAMPLES: Mapping[str, str] = {
    "address": "0/000",
    "anything": "nothing-is-here",
    "app_label": "auth",
    "content_type_id": "0",
    "event_id": "01890000-0000-7000-8000-000000000000",
    "fingerprint": "00000000",
    "gate": "a",
    "id": "0",
    "log": "events",
    "number": "0",
    "object_id": "0",
    "pk": "0",
    "provider": "default",
    "run_id": "r20260102T030405-0a0b0c",
    "sha256": DIGEST,
    "slo": "nothing-is-here",
    "size": "1",
    "token": "0",
    "url": "nothing-is-here",
}
_ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")
_NAMED_GROUP = re.compile(r"\(\?P<(\w+)>[^)]*\)")


@dataclass(frozen=True, slots=True)
class Route:
    """`path` is the route as policy.py spells it."""

    path: str
    view: Callable[..., Any]

    @property
    def view_name(self) -> str:
        return str(getattr(self.view, "__qualname__", type(self.view).__qualname__))

    @property
    def unknown_arguments(self) -> list[str]:
        return [name for name in _ARGUMENT.findall(self.path) if name not in SAMPLES]

    @property
    def address(self) -> str:
        filled = _ARGUMENT.sub(lambda found: SAMPLES[found[1]], self.path)
        return "/" + filled.replace("^", "").replace("$", "")


def routes() -> list[Route]:
    return list(_walk(get_resolver(settings.ROOT_URLCONF).url_patterns, ""))


def _walk(patterns: list[Any], before: str) -> Iterator[Route]:
    for each in patterns:
        path = before + _text(each)
        if isinstance(each, URLResolver):
            yield from _walk(each.url_patterns, path)
        else:
            yield Route(path, each.callback)


def _text(each: URLPattern | URLResolver) -> str:
    """Without the alternatives of a group: the apps' names are no part of the policy."""
    text = str(each.pattern)
    return (_NAMED_GROUP.sub(r"<\1>", text) or ANYTHING) if isinstance(each.pattern, RegexPattern) else text
