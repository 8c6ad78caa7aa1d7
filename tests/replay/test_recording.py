"""Recorded webhooks from a file."""

import base64
import json
from pathlib import Path

import pytest

from ingestion.replay.errors import RecordingError
from ingestion.replay.recording import read_recording


def recording(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "recorded.ndjson"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_each_way_to_write_a_body_is_read(tmp_path: Path) -> None:
    event = {"id": "m1", "type": "t", "ordering_key": "k", "data": {}}
    path = recording(
        tmp_path,
        json.dumps({"body": event, "headers": {"Content-Type": "application/json", "Host": "elsewhere.example"}}),
        "",
        json.dumps({"body_text": "a=1&b=2"}),
        json.dumps({"body_base64": base64.b64encode(b"\x00\xff").decode()}),
    )
    first, second, third = read_recording(path)
    assert (first.message_id, first.event_type, first.ordering_key) == ("m1", "t", "k")
    assert json.loads(first.content) == event
    assert first.headers == {"Content-Type": "application/json"}
    assert (second.content, second.message_id) == (b"a=1&b=2", "")
    assert third.content == b"\x00\xff"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ("{}", "needs exactly one of"),
        ('{"body": 1, "body_text": "x"}', "needs exactly one of"),
        ('{"body_text": 5}', "must be a string"),
        ('{"body_text": "\\ud800"}', "cannot be decoded"),
        ('{"body_base64": "%%%"}', "cannot be decoded"),
        ('{"body": {}, "headers": []}', "headers must be an object"),
        ('{"body": {}, "headers": {"X": 1}}', "headers must be an object"),
        ('{"body": {}, "headers": {"X": "a\\r\\nY: b"}}', "cannot be sent"),
        ('{"body": {}, "headers": {"X Y": "a"}}', "cannot be sent"),
        ('{"body": {}, "headers": {"X": "\\u20ac"}}', "outside Latin-1"),
        ('{"body": {}, "query": 1}', "query must be"),
        ('{"body": {}, "query": "?a=1"}', "query must be"),
        ('{"body": {}, "query": "a=1 HTTP/1.1\\r\\nX: y"}', "query must be"),
        ('{"body": {}, "query": "a=1#top"}', "query must be"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(tmp_path: Path, line: str, complaint: str) -> None:
    path = recording(tmp_path, '{"body": {}}', line, '{"body": {}}')
    with pytest.raises(RecordingError, match=f"line 2: .*{complaint}"):
        read_recording(path)


def test_an_empty_file_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="holds no webhook"):
        read_recording(recording(tmp_path, ""))
    with pytest.raises(RecordingError, match="cannot be read"):
        read_recording(tmp_path / "missing.ndjson")
