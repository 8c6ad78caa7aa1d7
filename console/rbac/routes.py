"""Every route that the resolver knows, with one address of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
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
# Acts of pages that take more than one: what is posted, and what has to be there.
ACTS: Mapping[str, tuple[tuple[str, Mapping[str, str], str], ...]] = {
    "admin/bundles/": (("act=cancel", {"cancel": "0"}, ""),),
    "admin/gates/<slug:gate>/": (
        ("act=assign", {"act": "assign"}, "gate_rights"),
        ("act=no-go", {"act": "no-go"}, "gate_rights"),
        ("act=approve", {"act": "approve", "decision": "0"}, "gate_rights"),
    ),
    # with a scope: that takes the right to raise the mode whatever the mode is
    "admin/mode/": (("act=raise", {"mode": "LIMITED", "decision": "0", "share": "0.1"}, "gate_rights"),),
}
# What has to be there for one call, and is not made for the whole probe: a name in console/rbac/rows.py.
PREPARED: Mapping[str, str] = {"api/v1/providers/<slug:provider>": "provider_rights"}
_ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")
_NAMED_GROUP = re.compile(r"\(\?P<(\w+)>[^)]*\)")


@dataclass(frozen=True, slots=True)
class Route:
    """`path` is the route as the resolver spells it. `act`: one of several that a POST to it may ask for."""

    path: str
    view: Callable[..., Any]
    act: str = ""
    form: tuple[tuple[str, str], ...] = ()
    prepare: str = ""  # what has to be there for the act, or see PREPARED

    @property
    def name(self) -> str:
        """As policy.py spells it."""
        return f"{self.path} {self.act}" if self.act else self.path

    @property
    def methods(self) -> tuple[str, ...]:
        return ("POST",) if self.act else METHODS

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
    """Every route, each followed by the acts that a POST to it may ask for."""
    return [
        each for route in _walk(get_resolver(settings.ROOT_URLCONF).url_patterns, "") for each in (route, *acts(route))
    ]


def acts(route: Route) -> Iterator[Route]:
    """Those of our pages, and the bulk actions of a list, as the code of its ModelAdmin has them."""
    for name, form, prepare in ACTS.get(route.path, ()):
        yield Route(route.path, route.view, name, tuple(form.items()), prepare)
    admin = getattr(route.view, "model_admin", None)
    if admin is not None and route.path.endswith(f"/{admin.opts.app_label}/{admin.opts.model_name}/"):
        for _, name, _ in bulk_actions(admin):
            form = {"action": name, "_selected_action": SAMPLES["object_id"]}
            yield Route(route.path, route.view, f"action={name}", tuple(form.items()))


def bulk_actions(admin: Any) -> list[tuple[Callable[..., Any], str, str]]:
    return [] if admin.actions is None else list(admin._get_base_actions())


def _walk(patterns: list[Any], before: str) -> Iterator[Route]:
    for each in patterns:
        path = before + _text(each)
        if isinstance(each, URLResolver):
            yield from _walk(each.url_patterns, path)
        else:
            yield Route(path, each.callback, prepare=PREPARED.get(path, ""))


def _text(each: URLPattern | URLResolver) -> str:
    """Without the alternatives of a group: the apps' names are no part of the policy."""
    text = str(each.pattern)
    return (_NAMED_GROUP.sub(r"<\1>", text) or ANYTHING) if isinstance(each.pattern, RegexPattern) else text
