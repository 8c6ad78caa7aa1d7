"""The bytes of every planned request, made once before the first send; only the signature is added at send time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ingestion.replay.bodies import Body
from ingestion.replay.config import GeneratorConfig
from ingestion.replay.events import generated_bodies
from ingestion.replay.history import PlannedSend
from ingestion.replay.recording import read_recording
from ingestion.replay.schedule import duplicates_count, plan
from ingestion.replay.signing import Signer


@dataclass(frozen=True, slots=True)
class Prepared:
    """Plan and bytes, index by index of the plan. Duplicates share the bytes of their original."""

    sends: Sequence[PlannedSend]
    heads: Sequence[bytes]
    contents: Sequence[bytes]


def prepare(config: GeneratorConfig, *, signer: Signer) -> Prepared:
    """The whole run in memory. A recording shorter than the plan is sent again from its beginning."""
    originals_count = config.count - duplicates_count(count=config.count, share=config.duplicates)
    bodies = _bodies(config, count=originals_count)
    fresh = frozenset(name.lower() for name in signer(b"", now_seconds=0))
    heads = [_head(config, body, fresh=fresh) for body in bodies]
    digests = [body.sha256_hex for body in bodies]
    slots = plan(count=config.count, rate=config.rate, duplicates_share=config.duplicates, seed=config.seed)
    indexes = [slot.body_index % len(bodies) for slot in slots]
    sends = [
        _planned(bodies[index], digests[index], n=slot.n, intended_ns=slot.intended_ns, duplicate_of=slot.duplicate_of)
        for slot, index in zip(slots, indexes, strict=True)
    ]
    return Prepared(sends, [heads[index] for index in indexes], [bodies[index].content for index in indexes])


def _bodies(config: GeneratorConfig, *, count: int) -> list[Body]:
    if config.input_path:
        return read_recording(config.input_path)[:count]
    return list(generated_bodies(run_id=config.run_id, seed=config.seed, count=count, keys_count=config.keys))


def _planned(body: Body, digest: str, *, n: int, intended_ns: int, duplicate_of: int | None) -> PlannedSend:
    return PlannedSend(
        n, body.message_id, body.event_type, body.ordering_key, digest, len(body.content), intended_ns, duplicate_of
    )


def _head(config: GeneratorConfig, body: Body, *, fresh: frozenset[str]) -> bytes:
    """Request line and every header that the signer does not make anew; the empty line is still missing."""
    target = config.target
    host = f"[{target.host}]" if ":" in target.host else target.host
    headers = {"Host": f"{host}:{target.port}", "Content-Length": str(len(body.content))}
    recorded = {name: text for name, text in body.headers.items() if name.lower() not in fresh}
    if "content-type" not in {name.lower() for name in recorded}:
        headers["Content-Type"] = "application/json"
    return f"POST {target.base_path}{config.path} HTTP/1.1\r\n".encode() + header_lines(headers | recorded)


def header_lines(headers: Mapping[str, str]) -> bytes:
    return "".join([f"{name}: {text}\r\n" for name, text in headers.items()]).encode("latin-1")
