"""Is everything sealed, who watches it, and how does an auditor check it? Both logs, from the rows and the files."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, override

from django.contrib.admin import AdminSite
from django.urls import reverse
from django.utils.safestring import SafeString

from console.access import Permission
from console.api.log.index import links
from console.guards import GuardedPage
from console.shown import UNKNOWN, age, moment, whole_id
from evidence.log.keys import known_keys
from evidence.log.reads import checkpoint_note
from evidence.log_standing import LogStanding, log_standings
from evidence.models import LogKey
from evidence.witnesses.selectors import WitnessStanding, witness_standings

OPENED_BY_A_CLICK = ("checkpoint", "start", "consistency", "seals", "segments")


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessShown:
    name: str
    key_hash: str
    is_known: bool
    tree_size: str
    cosigned: SafeString | str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogShown:
    """One log as the page shows it; texts are ready to be read."""

    name: str
    origin: SafeString | None
    checkpoint: str
    sealed: SafeString | str
    root: SafeString | None
    sequenced: str
    integrated: str
    published: str
    is_published_behind: bool
    waiting_for: str
    refused_why: str
    refused: SafeString | str
    witnesses: Sequence[WitnessShown]
    links: Sequence[tuple[str, str]]
    seals_link: str


@dataclass(frozen=True, slots=True)
class KeyShown:
    vkey: SafeString
    first_used: SafeString | str


class LogPage(GuardedPage):
    permission = Permission.LOG_READ
    template_name = "console/log.html"
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        now = datetime.now(UTC)
        return {
            **self.site.each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Log",
            "subtitle": None,
            "read_at": moment(now, now=now),
            "logs": [shown(standing, now=now) for standing in log_standings()],
            "keys": [
                KeyShown(whole_id(vkey), moment(at, now=now))
                for vkey, at in LogKey.objects.order_by("-first_used_at").values_list("vkey", "first_used_at")
            ],
            "command": whole_id(auditors_command(self.request.build_absolute_uri("/"))),
        }


def shown(standing: LogStanding, *, now: datetime) -> LogShown:
    seal, published = standing.seal, standing.published_count
    return LogShown(
        name=standing.log.value,
        origin=whole_id(standing.incarnation.origin) if standing.incarnation else None,
        checkpoint=checkpoint_note(seal) if seal else "",
        sealed=moment(seal.sealed_at, now=now) if seal else "never",
        root=whole_id(bytes(seal.root).hex()) if seal else None,
        sequenced=f"{standing.sequenced_count:,}",
        integrated=f"{standing.integrated_count:,}",
        published=UNKNOWN if published is None else f"{published:,}",
        is_published_behind=published is not None and published != standing.integrated_count,
        waiting_for=age(now - standing.oldest_waiting_at) if standing.oldest_waiting_at else "",
        refused_why=standing.refused_why,
        refused=moment(standing.refused_at, now=now),
        witnesses=witnesses_of(standing, now=now),
        links=[(name, to) for name, to in links(standing.log, seal).items() if name in OPENED_BY_A_CLICK]
        if seal
        else (),
        seals_link=f"{reverse('admin:evidence_seal_changelist')}?log={standing.log}",
    )


def witnesses_of(standing: LogStanding, *, now: datetime) -> list[WitnessShown]:
    found = witness_standings(standing.incarnation.origin) if standing.incarnation else []
    return [_witness(witness, now=now) for witness in found]


def _witness(witness: WitnessStanding, *, now: datetime) -> WitnessShown:
    return WitnessShown(
        name=witness.name,
        key_hash=witness.key_hash,
        is_known=witness.is_known,
        tree_size="none" if witness.tree_size is None else f"{witness.tree_size:,}",
        cosigned=moment(witness.cosigned_at, now=now),
    )


def auditors_command(base: str) -> str:
    """With the newest key pinned; the auditor compares it with what the operators told another way."""
    keys = known_keys()
    trust = ["--vkey", keys[-1].vkey] if keys else ["--trust-first"]
    return shlex.join(["python3", "deploy/witness.py", "--url", base.rstrip("/"), "--keep", "witness", *trust])
