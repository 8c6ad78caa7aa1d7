"""Lanes through redis-py: what the drain, the sweeper and the console ask of Redis."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, ClassVar, cast

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from autocom.kernel.errors import AutocomError
from ingestion.buffer import keys
from ingestion.buffer.append import WAKE_MS, AppendLimits, EntryKind, LaneEntry, Script, script
from ingestion.doorbell import drain_job_fields

SOCKET_TIMEOUT_SECONDS = 0.8  # a stalled Redis is a 503 within a second
CONNECT_TIMEOUT_SECONDS = 0.3
READ_LIMIT_BYTES = 8 * 1_048_576  # of one batch: a lane may hold hundreds of megabytes
SLICE_COUNT = 32  # entries asked for at once where a lane holds more than the limit
LAYOUT_VERSION = b"1"
ERROR_LINE_CHARS = 200
_LOGIN = re.compile(r"(?<=://)[^/@\s]+@|\bpassword=\S+\s*")


class BufferUnavailable(AutocomError):
    """Redis cannot be asked now, or refuses: nothing may be promised and nothing is known."""

    code: ClassVar[str] = "buffer_unavailable"
    retryable: ClassVar[bool] = True


class LaneCountChanged(AutocomError):
    """LANES differs from what the lanes were filled with, and they are not empty: order per key would break."""

    code: ClassVar[str] = "lane_count_changed"


@dataclass(frozen=True, slots=True)
class Claim:
    """A lane's lease, as held by one drainer."""

    lane: int
    token: bytes
    fence: int
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePlace:
    """Where an entry stands."""

    lane: int
    epoch: int
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePeek:
    """What a lane looks like from outside."""

    lane: int
    depth_count: int
    size_bytes: int
    oldest_accepted_us: int | None
    sequence: int
    holder: str
    is_due: bool
    attempt: int
    retry_at_us: int | None
    resting_since_us: int | None
    error: str
    lease_ms: int = 0  # until the holder's lease runs out; 0 while nobody holds it
    paused_us: int | None = None  # a person paused it then

    @property
    def error_line(self) -> str:
        """The error for people to read: its first line, as further ones quote rows, and no login of an address."""
        line = _LOGIN.sub("", self.error.partition("\n")[0])
        return line if len(line) <= ERROR_LINE_CHARS else f"{line[:ERROR_LINE_CHARS]}…"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasePolicy:
    lease: timedelta = timedelta(seconds=5)
    wake: timedelta = timedelta(seconds=6)  # above the lease: while a drainer lives, nobody rings
    parked: timedelta = timedelta(seconds=1)  # so often at most an append calls a drainer to a paused lane


def redis_client(url: str, *, timeout_seconds: float = SOCKET_TIMEOUT_SECONDS) -> redis.Redis:
    """A client that never retries by itself.

    A repeated append would only say duplicate, but a repeated push rings twice.
    """
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        health_check_interval=0,
    )


@dataclass(slots=True)
class LaneBuffer:
    """Every method raises BufferUnavailable when Redis cannot be asked."""

    client: redis.Redis
    policy: LeasePolicy = LeasePolicy()

    def append(self, words: Sequence[bytes]) -> list[list[object]]:
        """Runs one prepared append (`buffer.append.append_args`) and gives its raw answers."""
        return cast("list[list[object]]", self._ask_script(script("append"), words))

    def append_again(
        self, lane: int, *, meta: bytes, payload: bytes, mac: bytes, limits: AppendLimits, job_id: bytes
    ) -> LanePlace | None:
        """Puts an event that stands aside on its lane; None while the lane is full."""
        size_bytes = LaneEntry.made(EntryKind.REDRIVEN, meta=meta, payload=payload, mac=mac).size_bytes
        answer = self._run(
            "redrive",
            [
                keys.RQ_QUEUES,
                keys.rq_queue(keys.DRAIN_QUEUE),
                keys.stream(lane),
                keys.state(lane),
                keys.wake(lane),
                keys.rq_job(job_id),
            ],
            [
                *(limits.lane_bound_count, limits.lane_bound_bytes, WAKE_MS),
                *(meta, payload, mac, size_bytes, job_id),
                *drain_job_fields(lane),
            ],
        )
        return None if answer[0] < 0 else LanePlace(lane=lane, epoch=answer[1], sequence=answer[0])

    def claim(self, lane: int, *, token: bytes, fence_floor: int) -> Claim | None:
        """The lease, or None while somebody else holds it."""
        answer = self._run(
            "claim",
            [keys.lease(lane), keys.state(lane), keys.wake(lane)],
            [token, _ms(self.policy.lease), fence_floor, _ms(self.policy.wake)],
        )
        return Claim(lane=lane, token=token, fence=answer[0], epoch=answer[1]) if answer else None

    def epoch(self, lane: int) -> int:
        return int(self._ask("HGET", keys.state(lane), "epoch") or 0)

    def reach(self, lane: int) -> tuple[int, int]:
        """The lane's epoch and the highest sequence given in it; zeros while Redis knows nothing of the lane."""
        epoch, sequence = self._ask("HMGET", keys.state(lane), "epoch", "sequence")
        return int(epoch or 0), int(sequence or 0)

    def read(self, lane: int, *, limit_count: int, limit_bytes: int = READ_LIMIT_BYTES) -> list[LaneEntry]:
        """The oldest entries of the lane, no more than fit into the limits, but one at least.

        Reading changes nothing.
        """
        return self._read(lane, epoch=None, limit_count=limit_count, limit_bytes=limit_bytes) or []

    def read_claimed(
        self, claim: Claim, *, limit_count: int, limit_bytes: int = READ_LIMIT_BYTES
    ) -> list[LaneEntry] | None:
        """As `read`, or None when the lane's epoch is not the claim's any more.

        Redis lost its data and the entries are of another count.
        """
        return self._read(claim.lane, epoch=claim.epoch, limit_count=limit_count, limit_bytes=limit_bytes)

    def _read(self, lane: int, *, epoch: int | None, limit_count: int, limit_bytes: int) -> list[LaneEntry] | None:
        """Asks for one entry and the lane's size.

        Then for all at once, or by slices where the lane holds more than the limit.
        """
        entries: list[LaneEntry] = []
        size_bytes = 0
        slice_count = 1
        while True:
            found_epoch, waiting_bytes, found = self._slice(lane, after=entries, count=slice_count)
            if found and epoch is not None and found_epoch != epoch:
                return entries or None
            for entry in found:
                size_bytes += entry.size_bytes
                if entries and size_bytes > limit_bytes:
                    return entries
                entries.append(entry)
            if len(found) < slice_count or len(entries) >= limit_count:
                return entries
            room_count = limit_count - len(entries)
            slice_count = room_count if waiting_bytes <= limit_bytes else min(room_count, SLICE_COUNT)

    def _slice(self, lane: int, *, after: Sequence[LaneEntry], count: int) -> tuple[int, int, list[LaneEntry]]:
        """The lane's epoch and size, and entries of that epoch.

        One transaction, as Redis may come back empty between two commands.
        """
        start = f"({after[-1].sequence}-0" if after else "-"
        try:
            with self.client.pipeline(transaction=True) as pipe:
                pipe.execute_command("HMGET", keys.state(lane), "epoch", "bytes")
                pipe.execute_command("XRANGE", keys.stream(lane), start, "+", "COUNT", count)
                (epoch, size_bytes), raw = pipe.execute()
        except redis.RedisError as error:
            raise BufferUnavailable(f"{type(error).__name__}: {error}") from error
        return int(epoch or 0), int(size_bytes or 0), [LaneEntry.read(entry_id, fields) for entry_id, fields in raw]

    def read_after(self, lane: int, *, sequence: int, limit_count: int) -> list[LaneEntry]:
        """The oldest entries of the lane above the sequence. Reading changes nothing."""
        raw = self._ask("XRANGE", keys.stream(lane), f"{sequence + 1}-0", "+", "COUNT", limit_count)
        return [LaneEntry.read(entry_id, fields) for entry_id, fields in raw]

    def trim(self, claim: Claim, *, through_sequence: int, freed_bytes: int) -> int | None:
        """Entries left after those up to the sequence are gone.

        Or None when the lease was lost (nothing is gone then).
        """
        left: int = self._run(
            "trim",
            [keys.lease(claim.lane), keys.stream(claim.lane), keys.state(claim.lane), keys.wake(claim.lane)],
            [claim.token, through_sequence + 1, freed_bytes, _ms(self.policy.lease), _ms(self.policy.wake)],
        )
        return None if left < 0 else left

    def release(self, claim: Claim) -> bool:
        """True when the lane is given up; False when entries wait, so it is still ours."""
        return bool(
            self._run(
                "release", [keys.lease(claim.lane), keys.stream(claim.lane), keys.wake(claim.lane)], [claim.token]
            )
        )

    def hand_back(self, claim: Claim, *, job_id: bytes) -> bool:
        """Gives up a lane that still has entries: its drain job goes to the end of RQ's queue."""
        return self._ring(claim.lane, token=claim.token, job_id=job_id)

    def park(self, claim: Claim) -> bool:
        """Gives up a paused lane with its entries. False when it was not ours any more."""
        answer = self._run(
            "park", [keys.lease(claim.lane), keys.wake(claim.lane)], [claim.token, _ms(self.policy.parked)]
        )
        return bool(answer)

    def note_pause(self, lane: int, *, since_us: int | None) -> None:
        """For those who look at lanes; None: it is not paused."""
        if since_us is None:
            self._ask("HDEL", keys.state(lane), "paused_us")
        else:
            self._ask("HSET", keys.state(lane), "paused_us", since_us)

    def is_noted_paused(self, lane: int) -> bool:
        return bool(self._ask("HEXISTS", keys.state(lane), "paused_us"))

    def ring_now(self, lane: int, *, job_id: bytes) -> bool:
        """As `ring_if_unattended`, without waiting for a job that was rung and that nobody may have heard."""
        if not self._ask("EXISTS", keys.lease(lane)):
            self._ask("DEL", keys.wake(lane))
        return self.ring_if_unattended(lane, job_id=job_id)

    def failed_jobs_count(self, queue: str) -> int:
        return int(self._ask("ZCARD", keys.rq_failed(queue)))

    def ring_if_unattended(self, lane: int, *, job_id: bytes) -> bool:
        """True when the lane had entries, no drainer and no job due, and now has a job."""
        return self._ring(lane, token=b"", job_id=job_id)

    def back_off(self, claim: Claim, *, rest: timedelta, next_attempt_us: int, error: str) -> int | None:
        """Attempts so far, or None when somebody else has claimed the lane since.

        A lease that ran out during the attempt and that nobody took is no obstacle: where each attempt takes longer
        than a lease, as with a server that swallows packets, the lane must rest and say so all the same.
        """
        attempt: int = self._run(
            "back_off",
            [keys.lease(claim.lane), keys.state(claim.lane), keys.wake(claim.lane)],
            [claim.token, max(_ms(rest), 1), next_attempt_us, error[:500].encode(errors="replace"), claim.fence],
        )
        return None if attempt < 0 else attempt

    def attempts(self, lane: int) -> int:
        return int(self._ask("HGET", keys.state(lane), "attempt") or 0)

    def now_us(self) -> int:
        """Redis's clock, which entries are dated by: a difference to this machine's would pass for age."""
        seconds, rest_us = self._ask("TIME")
        return int(seconds) * 1_000_000 + int(rest_us)

    def note_autoscaler(self, fields: Mapping[str, str], *, life: timedelta) -> None:
        """What the autoscaler wants, until its life is over."""
        self._note(keys.AUTOSCALER, fields, life=life)

    def autoscaler(self) -> dict[str, str]:
        """Empty where no autoscaler has spoken lately."""
        return self._noted(keys.AUTOSCALER)

    def note_logs(self, fields: Mapping[str, str], *, life: timedelta) -> None:
        """How far the logs have come, until its life is over."""
        self._note(keys.LOGS, fields, life=life)

    def logs(self) -> dict[str, str]:
        """Empty where nobody has looked lately."""
        return self._noted(keys.LOGS)

    def _note(self, key: bytes, fields: Mapping[str, str], *, life: timedelta) -> None:
        try:
            with self.client.pipeline(transaction=True) as pipe:
                pipe.execute_command("HSET", key, *[word for pair in fields.items() for word in pair])
                pipe.execute_command("PEXPIRE", key, _ms(life))
                pipe.execute()
        except redis.RedisError as error:
            raise BufferUnavailable(str(error)) from error

    def _noted(self, key: bytes) -> dict[str, str]:
        found: dict[bytes, bytes] = self._ask("HGETALL", key)
        return {name.decode(): value.decode() for name, value in found.items()}

    def waiting_jobs_count(self, queue: str) -> int:
        return int(self._ask("LLEN", keys.rq_queue(queue)))

    def peek(self, lane: int) -> LanePeek:
        try:
            with self.client.pipeline(transaction=False) as pipe:
                pipe.execute_command("XLEN", keys.stream(lane))
                pipe.execute_command("XRANGE", keys.stream(lane), "-", "+", "COUNT", 1)
                pipe.execute_command("HGETALL", keys.state(lane))
                pipe.execute_command("GET", keys.lease(lane))
                pipe.execute_command("EXISTS", keys.wake(lane))
                pipe.execute_command("PTTL", keys.lease(lane))
                depth, oldest, state, holder, due, lease_ms = pipe.execute()
        except redis.RedisError as error:
            raise BufferUnavailable(str(error)) from error
        return LanePeek(
            lane=lane,
            depth_count=depth,
            size_bytes=int(state.get(b"bytes", 0)),
            oldest_accepted_us=LaneEntry.read(*oldest[0]).accepted_us if oldest else None,
            sequence=int(state.get(b"sequence", 0)),
            holder=(holder or b"").decode(errors="replace"),
            is_due=bool(due),
            attempt=int(state.get(b"attempt", 0)),
            retry_at_us=int(state[b"retry_at_us"]) if b"retry_at_us" in state else None,
            resting_since_us=int(state[b"resting_since_us"]) if b"resting_since_us" in state else None,
            error=state.get(b"error", b"").decode(errors="replace"),
            lease_ms=max(lease_ms, 0) if holder else 0,
            paused_us=int(state[b"paused_us"]) if b"paused_us" in state else None,
        )

    def settle_lane_count(self, wanted: int) -> None:
        """Remembers LANES; a change passes only while every lane is empty. Raises LaneCountChanged."""
        known = int(self._ask("GET", keys.LANE_COUNT) or 0)
        if known not in (0, wanted):
            waiting = [lane for lane in range(known) if self._ask("XLEN", keys.stream(lane))]
            if waiting:
                raise LaneCountChanged(
                    f"LANES is {wanted}, but lanes {waiting} still hold events of a start with LANES={known}: "
                    f"start with LANES={known} until they are empty"
                )
        self._ask("SET", keys.LANE_COUNT, wanted)
        self._ask("SET", keys.LAYOUT, LAYOUT_VERSION)

    def _ring(self, lane: int, *, token: bytes, job_id: bytes) -> bool:
        return bool(
            self._run(
                "ring",
                [
                    keys.lease(lane),
                    keys.stream(lane),
                    keys.wake(lane),
                    keys.RQ_QUEUES,
                    keys.rq_queue(keys.DRAIN_QUEUE),
                    keys.rq_job(job_id),
                ],
                [token, _ms(self.policy.wake), job_id, *drain_job_fields(lane)],
            )
        )

    def run_script(self, name: str, script_keys: Sequence[bytes], args: Iterable[bytes | int]) -> Any:
        """The raw answer of one of the scripts beside `append.lua`."""
        return self._run(name, script_keys, args)

    def fields(self, key: bytes) -> dict[str, str]:
        """A hash of ours, as text; empty where there is none."""
        found: dict[bytes, bytes] = self._ask("HGETALL", key)
        return {name.decode(): value.decode(errors="replace") for name, value in found.items()}

    def set_fields(self, key: bytes, fields: Mapping[str, str]) -> None:
        self._ask("HSET", key, *[word for pair in fields.items() for word in pair])

    def _run(self, name: str, script_keys: Sequence[bytes], args: Iterable[bytes | int]) -> Any:
        used = script(name)
        return self._ask_script(used, [b"EVALSHA", used.sha, len(script_keys), *script_keys, *args])

    def _ask_script(self, used: Script, words: Sequence[bytes | int]) -> Any:
        try:
            return self._ask(*words)
        except BufferUnavailable as error:
            if not isinstance(error.__cause__, redis.exceptions.NoScriptError):
                raise
        self._ask("SCRIPT", "LOAD", used.source)
        return self._ask(*words)

    def _ask(self, *words: bytes | int | str) -> Any:
        try:
            return self.client.execute_command(*words)
        except redis.RedisError as error:
            raise BufferUnavailable(f"{type(error).__name__}: {error}") from error


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


@cache
def lane_buffer() -> LaneBuffer:
    """The buffer of this process. Its pool is safe over threads and forks."""
    return LaneBuffer(client=redis_client(settings.AUTOCOM.redis_url))
