"""The bytes of every planned request, made once before the first send; only the signature is added at send time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import time

from ingestion.replay.bodies import Body
from ingestion.replay.config import GeneratorConfig
from ingestion.replay.events import generated_bodies
from ingestion.replay.history import PlannedSend
from ingestion.replay.provider_signing import ProviderSigner, events_for_default
from ingestion.replay.recording import read_recording
from ingestion.replay.schedule import duplicates_count, plan
from ingestion.replay.signing import Signer
from ingestion.replay.trouble import changed, conflicting, poisoned

# The n-th request as it leaves now, and the digest of its body where an adapter signs and so may change it; else "".
type Writer = Callable[[int], tuple[bytes, str]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Plan and bytes, index by index of the plan. Duplicates share the bytes of their original."""

    sends: Sequence[PlannedSend]
    write: Writer
    is_generated: bool  # made here for `default`: names and digests of all events are known, and begin with the run


def prepare(config: GeneratorConfig) -> Prepared:
    """The whole run in memory. A recording shorter than the plan is sent again from its beginning.

    Raises ReplayUsageError for a recording that cannot be read or signed.
    """
    signer = config.signer.make()
    repeats_share = config.duplicates + config.conflicts
    originals_count = config.count - duplicates_count(count=config.count, share=repeats_share)
    bodies = _bodies(config, count=originals_count)
    if isinstance(signer, ProviderSigner):
        bodies = [signer.made_ready(body, place=place) for place, body in enumerate(bodies, start=1)]
    elif config.input_path:
        bodies = [replace(body, events=events_for_default(body)) for body in bodies]
    slots = plan(count=config.count, rate=config.rate, duplicates_share=repeats_share, seed=config.seed)
    indexes = [slot.body_index % len(bodies) for slot in slots]
    if config.conflicts:
        share = config.conflicts / repeats_share
        for n in sorted(conflicting(slots, share_of_repeats=share, seed=config.seed)):
            bodies.append(changed(bodies[indexes[n]], n=n))
            indexes[n] = len(bodies) - 1
    digests = [body.sha256_hex for body in bodies]
    sends = [
        _planned(bodies[index], digests[index], n=slot.n, intended_ns=slot.intended_ns, duplicate_of=slot.duplicate_of)
        for slot, index in zip(slots, indexes, strict=True)
    ]
    if isinstance(signer, ProviderSigner):
        return Prepared(sends, _provider_writer(config, bodies, indexes, signer=signer), is_generated=False)
    return Prepared(
        sends, _default_writer(config, bodies, indexes, signer=signer), is_generated=config.input_path is None
    )


def _bodies(config: GeneratorConfig, *, count: int) -> list[Body]:
    if config.input_path:
        return read_recording(config.input_path)[:count]
    made = generated_bodies(run_id=config.run_id, seed=config.seed, count=count, keys_count=config.keys)
    return poisoned(list(made), share=config.poison, seed=config.seed) if config.poison else list(made)


def _planned(body: Body, digest: str, *, n: int, intended_ns: int, duplicate_of: int | None) -> PlannedSend:
    return PlannedSend(
        n,
        body.message_id,
        body.event_type,
        body.ordering_key,
        digest,
        len(body.content),
        intended_ns,
        duplicate_of,
        body.events,
        body.is_poison,
    )


def _default_writer(
    config: GeneratorConfig, bodies: Sequence[Body], indexes: Sequence[int], *, signer: Signer
) -> Writer:
    """On the hot path: all but the signature's three headers is made here, before the first send."""
    fresh = frozenset(name.lower() for name in signer(b"", now_seconds=0))
    made = [_head(config, body, fresh=fresh) for body in bodies]
    heads, contents = [made[index] for index in indexes], [bodies[index].content for index in indexes]

    def write(n: int) -> tuple[bytes, str]:
        content = contents[n]
        signed = header_lines(signer(content, now_seconds=int(time())))
        return b"".join((heads[n], signed, b"\r\n", content)), ""

    return write


def _provider_writer(
    config: GeneratorConfig, bodies: Sequence[Body], indexes: Sequence[int], *, signer: ProviderSigner
) -> Writer:
    """The adapter signs each attempt anew, and may put the signature into the body."""
    heads = [_start_line(config, query=body.query) + header_lines({"Host": _host(config)}) for body in bodies]

    def write(n: int) -> tuple[bytes, str]:
        index = indexes[n]
        signed = signer.sign(bodies[index], now_us=int(time() * 1_000_000))
        headers = header_lines({**signed.headers, "Content-Length": str(len(signed.content))})
        return b"".join((heads[index], headers, b"\r\n", signed.content)), signed.sha256_hex

    return write


def _head(config: GeneratorConfig, body: Body, *, fresh: frozenset[str]) -> bytes:
    """Request line and every header that the signer does not make anew; the empty line is still missing."""
    headers = {"Host": _host(config), "Content-Length": str(len(body.content))}
    recorded = {name: text for name, text in body.headers.items() if name.lower() not in fresh}
    if "content-type" not in {name.lower() for name in recorded}:
        headers["Content-Type"] = "application/json"
    return _start_line(config, query=body.query) + header_lines(headers | recorded)


def _start_line(config: GeneratorConfig, *, query: str) -> bytes:
    asked = f"?{query}" if query else ""
    return f"POST {config.target.base_path}{config.path}{asked} HTTP/1.1\r\n".encode()


def _host(config: GeneratorConfig) -> str:
    target = config.target
    return f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"


def header_lines(headers: Mapping[str, str]) -> bytes:
    return "".join([f"{name}: {text}\r\n" for name, text in headers.items()]).encode("latin-1")
