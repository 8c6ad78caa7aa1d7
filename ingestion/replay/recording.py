"""Recorded webhooks: one JSON object a line, read as a whole before anything is sent.

A line is `{"body": {...}}`, `{"body_text": "..."}` or `{"body_base64": "..."}`, with `"headers"` (an object)
and `"query"` (of the URL) if wanted. Signatures are made anew at send time; a recorded header of the same name as a
fresh one is dropped, save where no signature covers it.
"""

import base64
import binascii
import json
import re
from pathlib import Path
from typing import Any, Final

from ingestion.replay.bodies import Body
from ingestion.replay.errors import RecordingError

BODY_NAMES: Final = ("body", "body_text", "body_base64")
# The connection and the length belong to the sender, not to what was recorded.
CONNECTION_HEADERS: Final = frozenset(
    {"host", "content-length", "connection", "transfer-encoding", "keep-alive", "expect"}
)


def read_recording(path: Path) -> list[Body]:
    """Every webhook of the file, in its order. Raises RecordingError, with the line number, for the first bad line."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise RecordingError(f"--input {path}: cannot be read: {error.strerror}") from error
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    bodies = [_body_of_line(line, where=f"{path}: line {number}") for number, line in numbered]
    if not bodies:
        raise RecordingError(f"--input {path}: holds no webhook; put one JSON object with a `body` on each line")
    return bodies


def _body_of_line(line: bytes, *, where: str) -> Body:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{where}: not JSON: {error}") from error
    if not isinstance(record, dict):
        raise RecordingError(f"{where}: must be a JSON object, not {type(record).__name__}")
    content = _content(record, where=where)
    message_id, event_type, ordering_key = _names(content)
    return Body(
        content=content,
        message_id=message_id,
        event_type=event_type,
        ordering_key=ordering_key,
        headers=_headers(record.get("headers", {}), where=where),
        query=_query(record.get("query", ""), where=where),
    )


def _content(record: dict[str, Any], *, where: str) -> bytes:
    given = [name for name in BODY_NAMES if name in record]
    if len(given) != 1:
        raise RecordingError(f"{where}: needs exactly one of {', '.join(BODY_NAMES)}; it has {given or 'none'}")
    value = record[given[0]]
    if given[0] == "body":
        return json.dumps(value, separators=(",", ":")).encode()
    if not isinstance(value, str):
        raise RecordingError(f"{where}: {given[0]} must be a string, not {type(value).__name__}")
    try:
        return value.encode() if given[0] == "body_text" else base64.b64decode(value, validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError) as error:
        raise RecordingError(f"{where}: {given[0]} cannot be decoded: {error}") from error


def _headers(value: object, *, where: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise RecordingError(f"{where}: headers must be an object of strings")
    for name, text in value.items():
        if not name.isascii() or not text.isprintable() or not name.replace("-", "").replace("_", "").isalnum():
            raise RecordingError(f"{where}: header {name!r} cannot be sent")
        try:
            text.encode("latin-1")
        except UnicodeEncodeError as error:
            raise RecordingError(f"{where}: header {name!r} holds characters outside Latin-1") from error
    return {name: text for name, text in value.items() if name.lower() not in CONNECTION_HEADERS}


def _query(value: object, *, where: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[!-\"$-~]*", value) or value.startswith("?"):
        raise RecordingError(f"{where}: query must be what follows the ? of a URL, percent-encoded")
    return value


def _names(content: bytes) -> tuple[str, str, str]:
    """Message id, event type and ordering key in the default layout; empty where the body has another one."""
    try:
        event = json.loads(content)
    except (ValueError, RecursionError):
        return "", "", ""
    if not isinstance(event, dict) or not isinstance(event.get("id"), str) or not isinstance(event.get("type"), str):
        return "", "", ""
    ordering_key = event.get("ordering_key")
    return event["id"], event["type"], ordering_key if isinstance(ordering_key, str) else ""
