"""The artifact store: what counts, what is refused, what a crash or somebody at the disk can do."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction

from evidence.audit import Act, Actor
from evidence.models import Artifact, AuditEntry, Upload
from evidence.selectors import newest_number
from evidence.store import open_artifact, put, register, verification
from evidence.store.errors import (
    ArtifactChanged,
    ArtifactMissing,
    ChecksumMismatch,
    DigestInvalid,
    QuotaReached,
    StoreUnavailable,
    TooLarge,
)
from evidence.store.media_types import media_type_of
from evidence.store.reads import Condition, checked_chunks
from evidence.store.register import name_shown
from evidence.store.staging import LEFT_AFTER
from tests.support.evidence import LIMIT_BYTES, digest, place_of, use_store

pytestmark = pytest.mark.django_db

DATA = b'{"events": 30000}'
TESTER = Actor.process("test")


@pytest.fixture(params=["folder", "storage"])
def any_store(request: Any, settings: Any, tmp_path: Path) -> Path:
    """The folder of this machine, and Django's storage API as an object store is reached."""
    root = use_store(settings, tmp_path / "evidence")
    if request.param == "storage":
        backend = {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(root)},
        }
        settings.STORAGES = {**settings.STORAGES, "evidence": backend}
    return root


@pytest.fixture
def root(settings: Any, tmp_path: Path) -> Path:
    return use_store(settings, tmp_path / "evidence")


def stored(data: bytes = DATA, **more: Any) -> Artifact:
    return put(iter([data]), limit_bytes=LIMIT_BYTES, **more)


def files_below(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if not path.is_dir())


def test_what_was_put_in_comes_out(any_store: Path) -> None:
    artifact = put((DATA[i : i + 1] for i in range(len(DATA))), declared_sha256=digest(DATA), limit_bytes=LIMIT_BYTES)
    assert (artifact.sha256, artifact.size_bytes, artifact.media_type) == (digest(DATA), len(DATA), "application/json")
    with open_artifact(artifact.sha256) as file:
        assert file.read() == DATA
    assert verification(artifact).condition is Condition.OK
    assert files_below(any_store) == [place_of(any_store, artifact.sha256)]


def test_the_same_bytes_share_their_storage(any_store: Path) -> None:
    assert stored() == stored()
    assert Artifact.objects.count() == 1
    assert len(files_below(any_store)) == 1


def test_other_bytes_than_declared_are_not_stored(any_store: Path) -> None:
    with pytest.raises(ChecksumMismatch, match=digest(DATA)):
        stored(declared_sha256=digest(b"other"))
    assert (Artifact.objects.count(), files_below(any_store)) == (0, [])


@pytest.mark.parametrize("wrong", ["../../etc/passwd", "", "ab", "g" * 64, "a" * 63, "/" * 64, f"{'a' * 64}\n/.."])
def test_only_a_digest_is_an_address(root: Path, wrong: str) -> None:
    with pytest.raises(DigestInvalid):
        open_artifact(wrong)
    with pytest.raises(DigestInvalid):
        stored(declared_sha256=wrong)


def test_a_byte_above_the_limit_is_refused_and_leaves_nothing(root: Path) -> None:
    assert stored(b"x" * LIMIT_BYTES).size_bytes == LIMIT_BYTES
    with pytest.raises(TooLarge):
        put(iter([b"x" * LIMIT_BYTES, b"x"]), limit_bytes=LIMIT_BYTES)
    assert len(files_below(root)) == 1


def test_nobody_else_on_the_machine_can_read_it(root: Path) -> None:
    stored()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*") if path.is_dir()}
    assert (modes, stat.S_IMODE(root.stat().st_mode)) == ({0o700}, 0o700)
    assert {stat.S_IMODE(path.stat().st_mode) for path in files_below(root)} == {0o600}


def test_changed_bytes_are_found_and_never_overwritten(any_store: Path) -> None:
    artifact = stored()
    place_of(any_store, artifact.sha256).write_bytes(b'{"events": 30001}')
    assert verification(artifact).condition is Condition.CHANGED
    with pytest.raises(ArtifactChanged, match=digest(b'{"events": 30001}')):
        stored()
    assert place_of(any_store, artifact.sha256).read_bytes() == b'{"events": 30001}'


def test_changed_bytes_are_not_handed_out_as_a_whole(root: Path) -> None:
    artifact = stored(big := b"x" * 1_000_000)
    place_of(root, artifact.sha256).write_bytes(big[:-1] + b"y")
    came: list[bytes] = []
    with pytest.raises(ArtifactChanged):
        came.extend(checked_chunks(open_artifact(artifact.sha256), artifact.sha256))
    assert 0 < sum(map(len, came)) < len(big)


def test_missing_bytes_are_found_and_come_back_with_an_upload(any_store: Path) -> None:
    artifact = stored()
    place_of(any_store, artifact.sha256).unlink()
    assert verification(artifact).condition is Condition.MISSING
    with pytest.raises(ArtifactMissing):
        open_artifact(artifact.sha256)
    assert stored() == artifact
    assert verification(artifact).condition is Condition.OK


def test_a_link_in_place_of_an_artifact_is_not_followed(root: Path, tmp_path: Path) -> None:
    artifact = stored()
    place = place_of(root, artifact.sha256)
    place.unlink()
    (tmp_path / "copy").write_bytes(DATA)  # even to the right bytes: they could change under us
    place.symlink_to(tmp_path / "copy")
    assert verification(artifact).condition is Condition.CHANGED
    with pytest.raises(ArtifactChanged, match="symbolic link"):
        stored()


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_link_in_place_of_a_folder_leads_nothing_out_of_the_store(root: Path, tmp_path: Path, depth: int) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = place_of(root, digest(DATA)).parents[2 - depth]
    folder.parent.mkdir(parents=True)
    folder.symlink_to(outside)
    with pytest.raises(ArtifactChanged):
        stored()
    assert (files_below(outside), Artifact.objects.count()) == ([], 0)


def test_a_folder_or_a_pipe_in_place_of_an_artifact_is_no_artifact(root: Path) -> None:
    artifact = stored()
    place = place_of(root, artifact.sha256)
    place.unlink()
    os.mkfifo(place)
    assert verification(artifact).condition is Condition.CHANGED
    place.unlink()
    place.mkdir()
    assert verification(artifact).condition is Condition.CHANGED


def test_a_root_that_cannot_be_made_is_told_with_what_mends_it(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    use_store(settings, tmp_path / "file" / "evidence")
    with pytest.raises(StoreUnavailable, match="EVIDENCE_ROOT"):
        stored()


def test_a_storage_that_fails_is_told_without_what_it_says(settings: Any, root: Path) -> None:
    settings.STORAGES = {**settings.STORAGES, "evidence": {"BACKEND": "tests.evidence.test_store.BrokenStorage"}}
    with pytest.raises(StoreUnavailable, match="RuntimeError") as refused:
        stored()
    assert "AKIA" not in str(refused.value)
    assert Artifact.objects.count() == 0


def test_a_storage_that_is_not_installed_is_told(settings: Any, root: Path) -> None:
    settings.STORAGES = {**settings.STORAGES, "evidence": {"BACKEND": "no_such_library.Storage"}}
    with pytest.raises(StoreUnavailable, match="EVIDENCE_STORE_URL"):
        stored()


class BrokenStorage:
    def exists(self, name: str) -> bool:
        raise RuntimeError(f"403 for AKIA0123456789 at {name}")


def test_a_rollback_leaves_bytes_that_count_as_nothing(root: Path) -> None:
    with transaction.atomic():
        stored()
        transaction.set_rollback(True)
    assert Artifact.objects.count() == 0
    assert stored().sha256 == digest(DATA)


def test_the_quota_is_over_all_artifacts_and_known_bytes_take_nothing_of_it(settings: Any, root: Path) -> None:
    use_store(settings, root, evidence_quota_bytes=100)
    stored(b"a" * 60)
    stored(b"a" * 60)
    with pytest.raises(QuotaReached, match="60 of 100 bytes"):
        stored(b"b" * 41)
    stored(b"c" * 40)
    assert len(files_below(root)) == 2


@pytest.mark.django_db(transaction=True)
def test_uploads_at_once_do_not_pass_the_quota_together(settings: Any, root: Path) -> None:
    use_store(settings, root, evidence_quota_bytes=100)
    outcomes = at_once([partial(stored, bytes([n]) * 60) for n in range(6)])
    refused = [each for each in outcomes if isinstance(each, QuotaReached)]
    assert (len(refused), Artifact.objects.count(), len(files_below(root))) == (5, 1, 1), outcomes


@pytest.mark.django_db(transaction=True)
def test_the_same_bytes_at_once_are_one_artifact(root: Path) -> None:
    outcomes = at_once([lambda: put(iter([DATA]), limit_bytes=LIMIT_BYTES)] * 6)
    assert {each.sha256 for each in outcomes} == {digest(DATA)}
    assert (Artifact.objects.count(), files_below(root)) == (1, [place_of(root, digest(DATA))])


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """What each returns or raises, all started together on connections of their own."""
    barrier, outcomes = threading.Barrier(len(calls)), []

    def run(call: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            outcomes.append(call())
        except Exception as error:  # noqa: BLE001  (an outcome)
            outcomes.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def _endless(started: Any) -> None:
    def stream() -> Iterator[bytes]:
        yield b"x" * 300_000
        started.set()
        time.sleep(60)
        yield b"x"

    put(stream(), limit_bytes=LIMIT_BYTES)


def test_an_upload_killed_half_way_counts_as_nothing_and_is_gone_after_a_day(root: Path) -> None:
    fork = multiprocessing.get_context("fork")
    started = fork.Event()
    process = fork.Process(target=_endless, args=(started,))
    process.start()
    assert started.wait(30)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    (left,) = files_below(root)
    assert (left.parent.name, Artifact.objects.count()) == ("staging", 0)
    old = time.time() - LEFT_AFTER.total_seconds() - 1
    os.utime(left, (old, old))
    stored()
    assert files_below(root) == [place_of(root, digest(DATA))]


def test_two_hundred_megabytes_take_no_more_memory_than_a_few_chunks(root: Path) -> None:
    chunk = os.urandom(1 << 20)
    tracemalloc.start()
    try:
        artifact = put((chunk for _ in range(200)), limit_bytes=300 << 20)
        assert verification(artifact).condition is Condition.OK
        read_bytes = sum(map(len, checked_chunks(open_artifact(artifact.sha256), artifact.sha256)))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read_bytes == 200 << 20
    assert peak_bytes < 8 << 20


def test_a_registration_is_in_the_audit_log_and_the_same_again_is_no_act(root: Path) -> None:
    before = newest_number()
    artifact = stored()
    with transaction.atomic():
        first = register(artifact, name="run.json", actor=TESTER, note="gate A")
        again = register(artifact, name="run.json", actor=TESTER, note="gate A")
        other = register(artifact, name="run-2.json", actor=TESTER, note="gate A")
    assert (first, Upload.objects.count()) == (again, 2)
    entries = AuditEntry.objects.filter(number__gt=before, act=Act.ARTIFACT_UPLOADED).order_by("number")
    assert [(entry.subject, entry.reason, entry.facts["name"]) for entry in entries] == [
        (f"artifact {artifact.sha256}", "gate A", "run.json"),
        (f"artifact {artifact.sha256}", "gate A", other.name),
    ]


def test_a_registration_that_is_rolled_back_leaves_no_entry(root: Path) -> None:
    before = newest_number()
    artifact = stored()
    with transaction.atomic():
        register(artifact, name="run.json", actor=TESTER)
        transaction.set_rollback(True)
    assert (Upload.objects.count(), newest_number()) == (0, before)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\run.json", "run.json"),
        ("..", ""),
        ("", ""),
        ("/", ""),
        ("a\u202egnp.exe", "agnp.exe"),
        ("two\r\nX-Header: 1", "two X-Header: 1"),
        ("a\x00b", "ab"),
        ("n" * 300, "n" * 255),
    ],
)
def test_a_name_is_the_last_part_of_what_was_given_and_hides_nothing(given: str, shown: str) -> None:
    assert name_shown(given) == shown


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"%PDF-1.7", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"PK\x03\x04...", "application/zip"),
        (b"\x1f\x8b\x08", "application/gzip"),
        (b"\x00" * 257 + b"ustar", "application/x-tar"),
        (b"  <!DOCTYPE html><title>x", "text/html"),
        (b'<?xml version="1.0"?><svg onload="alert(1)">', "image/svg+xml"),
        (b'<?xml version="1.0"?><a/>', "application/xml"),
        (b'{"a": 1}', "application/json"),
        ("é".encode() * 2048 + b"\xc3", "text/plain"),
        (b"\xff\xfe\x00", "application/octet-stream"),
        (b"plain\x00", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
def test_a_type_is_what_the_first_bytes_say(head: bytes, media_type: str) -> None:
    assert media_type_of(head) == media_type
