"""One turn of the autoscaler: see, decide, tell the workers, say what changed, leave the standing in Redis."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from autocom.kernel.clock import Clock
from ingestion.autoscale.decide import Action, Decision, ScalerState, ScalingPolicy, decide, first_state
from ingestion.autoscale.figures import Figures, Seen
from ingestion.autoscale.observe import observe
from ingestion.autoscale.standing import Standing, keep_standing, standing_of
from ingestion.buffer.store import BufferUnavailable, LaneBuffer

KEEP_EVERY_S = 2.0  # each standing is an fsync of Redis

log = logging.getLogger(__name__)


class Workers(Protocol):
    """Whoever starts and stops workers. `alive_count` may raise BufferUnavailable."""

    def alive_count(self) -> int: ...

    def scale_to(self, count: int) -> None: ...


@dataclass(slots=True, kw_only=True)
class Scaler:
    """`begin` first. A rehearsal starts each turn from the workers that are alive and leaves no trace."""

    buffer: LaneBuffer
    clock: Clock
    policy: ScalingPolicy
    workers: Workers
    is_rehearsal: bool = False
    state: ScalerState = field(init=False)
    _standing: Standing | None = field(default=None, init=False)
    _kept_at_s: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        self.state = first_state(self.policy, wanted_count=self.policy.minimum_count)

    def begin(self) -> None:
        """The workers run: as many as an autoscaler that ended a moment ago wanted, else the minimum."""
        try:
            last = None if self.is_rehearsal else standing_of(self.buffer)
        except BufferUnavailable:
            last = None
        if last is not None:
            self.state = first_state(self.policy, wanted_count=last.wanted_count)
        self.workers.scale_to(self.state.wanted_count)

    def turn(self) -> Decision:
        """Never raises for a Redis that is away: everything stays as it is then."""
        seen = self._seen()
        if self.is_rehearsal and seen is not None:
            self.state = replace(self.state, wanted_count=seen.workers_count)
        before_count = self.state.wanted_count
        self.state, decision = decide(self.state, seen, self.policy)
        if self.is_rehearsal:
            return decision
        if decision.action is not Action.HOLD:
            log.info("workers_scaled", extra={"from": before_count, "to": decision.wanted_count, **shown(decision)})
            self.workers.scale_to(decision.wanted_count)
        self._keep(decision, before_count=before_count, seen=seen)
        return decision

    def _seen(self) -> Seen | None:
        try:
            return observe(
                self.buffer,
                lane_count=self.policy.lanes_count,
                workers_count=self.workers.alive_count(),
                at_s=self.clock.monotonic_ns() / 1e9,
            )
        except BufferUnavailable:
            return None

    def _keep(self, decision: Decision, *, before_count: int, seen: Seen | None) -> None:
        if seen is None:
            return
        standing = self._stands(decision, before_count=before_count, seen=seen)
        known, self._standing = self._standing, standing
        if standing.is_at_maximum and not (known and known.is_at_maximum):
            log.warning("workers_at_maximum", extra=shown(decision))
        is_news = decision.action is not Action.HOLD or known is None or known.is_at_maximum != standing.is_at_maximum
        if not is_news and seen.at_s - self._kept_at_s < KEEP_EVERY_S:
            return
        try:
            keep_standing(standing, buffer=self.buffer)
        except BufferUnavailable:
            return  # the next turn keeps it
        self._kept_at_s = seen.at_s

    def _stands(self, decision: Decision, *, before_count: int, seen: Seen) -> Standing:
        standing = Standing(
            wanted_count=decision.wanted_count,
            alive_count=seen.workers_count,
            minimum_count=self.policy.minimum_count,
            maximum_count=self.policy.maximum_count,
            target_ms=round(self.policy.target_ms),
            is_at_maximum=int(decision.is_at_maximum),
            why=decision.why,
        )
        if decision.action is not Action.HOLD:
            return replace(
                standing,
                changed_us=self.clock.now_us(),
                changed_from_count=before_count,
                changed_to_count=decision.wanted_count,
                changed_why=decision.why,
            )
        last = self._standing or standing
        return replace(
            standing,
            changed_us=last.changed_us,
            changed_from_count=last.changed_from_count,
            changed_to_count=last.changed_to_count,
            changed_why=last.changed_why,
        )


def shown(decision: Decision) -> dict[str, Any]:
    """The decision's reason and figures, as logs and `--json` have them."""
    return {"why": decision.why, "at_maximum": decision.is_at_maximum, **_rounded(decision.figures)}


def _rounded(figures: Figures | None) -> dict[str, Any]:
    if figures is None:
        return {}
    found = {name: round(value, 1) for name, value in asdict(figures).items() if isinstance(value, int | float)}
    return {**found, "lag_ms": round(figures.lag_ms, 1)}
