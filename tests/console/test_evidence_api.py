"""The evidence API: who comes in, what is taken, and how a file leaves."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from console.access import Permission
from console.actions import service_tokens
from console.models import ServiceToken
from console.roles import PERMISSIONS_BY_ROLE, Role
from console.service_tokens.scopes import Scope
from evidence.audit import Act, Actor
from evidence.models import Artifact, AuditEntry, Upload
from evidence.store.partial import PARTIALS_LIMIT_COUNT
from tests.console.conftest import MODEL_BACKEND
from tests.support.evidence import LIMIT_BYTES, digest, place_of, uploaded, use_store

pytestmark = pytest.mark.django_db

DATA = b'{"events": 30000}' * 1_000
ADDRESS = f"/evidence/{digest(DATA)}"
SHELL = Actor.command_line("tester")


@pytest.fixture(autouse=True)
def root(settings: Any, tmp_path: Path) -> Path:
    return use_store(settings, tmp_path / "evidence")


def token(*scopes: Scope, name: str = "ci", life: timedelta = timedelta(days=1), age: timedelta = timedelta(0)) -> str:
    made = service_tokens.create(actor=SHELL, name=name, scopes=scopes, life=life, now=datetime.now(UTC) - age)
    return made.text


def bearer(text: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {text}"})


@pytest.fixture
def writer() -> Client:
    return bearer(token(Scope.EVIDENCE_WRITE, Scope.EVIDENCE_READ))


def put(client: Client, data: bytes = DATA, *, address: str = "", **headers: str) -> Any:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.put(address or f"/evidence/{digest(data)}", data, content_type="text/html", headers=names)


def cut_short(client: Client, data: bytes, *, declared_bytes: int, **more: Any) -> Any:
    """As a server hands it on when the sender goes away."""
    environ: Any = {"wsgi.input": BytesIO(data), "CONTENT_LENGTH": str(declared_bytes)}
    return client.put(ADDRESS, data, content_type="text/plain", **more, **environ)


def code(response: Any) -> tuple[int, str]:
    assert response["Content-Type"] == "application/problem+json"
    body = json.loads(response.content)
    assert body["status"] == response.status_code
    return response.status_code, body["code"]


def acts(act: Act) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(act=act).order_by("number"))


def test_what_a_program_puts_in_it_gets_back_byte_for_byte(writer: Client) -> None:
    response = put(writer, Content_Disposition='attachment; filename="../run.json"')
    assert (response.status_code, response["Location"]) == (201, f"http://testserver{ADDRESS}")
    told = response.json()
    assert (told["sha256"], told["size_bytes"], told["media_type"]) == (digest(DATA), len(DATA), "application/json")
    assert [(each["name"], each["actor"]) for each in told["uploads"]] == [("run.json", "ci")]
    assert b"".join(writer.get(ADDRESS)) == DATA
    assert [entry.actor_kind for entry in acts(Act.ARTIFACT_UPLOADED)] == ["token"]


def test_the_same_put_again_changes_nothing_and_says_so(writer: Client) -> None:
    assert put(writer).status_code == 201
    assert put(writer).status_code == 200
    assert (Artifact.objects.count(), Upload.objects.count(), len(acts(Act.ARTIFACT_UPLOADED))) == (1, 1, 1)


def test_other_bytes_than_the_address_says_are_a_conflict_and_not_stored(writer: Client, root: Path) -> None:
    response = put(writer, b"other", address=ADDRESS)
    assert code(response) == (409, "evidence_checksum_mismatch")
    assert digest(b"other") in response.json()["detail"]
    assert [path for path in root.rglob("*") if path.is_file()] == []
    assert Artifact.objects.count() == 0


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        ("/evidence/..%2F..%2Fetc%2Fpasswd", 404),
        ("/evidence/%2e%2e", 400),
        (f"/evidence/{'g' * 64}", 400),
        (f"/evidence/{'a' * 63}", 400),
        (f"/evidence/{'a' * 64}/..", 404),
    ],
)
def test_only_a_digest_is_an_address(writer: Client, root: Path, address: str, answer: int) -> None:
    assert writer.put(address, b"x", content_type="text/plain").status_code == answer
    assert writer.get(address).status_code == answer
    assert not root.exists() or [path for path in root.rglob("*") if path.is_file()] == []


def test_a_body_that_ends_before_its_declared_length_is_not_stored(writer: Client, root: Path) -> None:
    assert code(cut_short(writer, DATA, declared_bytes=len(DATA) + 5)) == (400, "evidence_incomplete")
    assert Artifact.objects.count() == 0


def test_a_body_beyond_its_declared_length_is_not_read(writer: Client) -> None:
    response = writer.put(ADDRESS, DATA, content_type="text/plain", CONTENT_LENGTH=str(len(DATA) - 5))
    assert code(response) == (409, "evidence_checksum_mismatch")


@pytest.mark.parametrize("length", ["", "-1", "1e3", "٣", "9" * 30])
def test_a_length_that_is_none_is_asked_for(writer: Client, length: str) -> None:
    response = writer.put(ADDRESS, DATA, content_type="text/plain", CONTENT_LENGTH=length)
    assert code(response) == (411, "evidence_length_required")


def test_what_is_above_the_limit_is_refused_before_it_is_read(writer: Client) -> None:
    length = str(LIMIT_BYTES + 1)
    response = writer.put(ADDRESS, b"", content_type="text/plain", CONTENT_LENGTH=length)
    assert code(response) == (413, "evidence_too_large")


def test_the_quota_is_told_as_no_room(writer: Client, settings: Any, root: Path) -> None:
    use_store(settings, root, evidence_quota_bytes=10)
    assert code(put(writer)) == (507, "evidence_quota_reached")


def test_changed_bytes_are_neither_overwritten_nor_handed_out_as_whole(writer: Client, root: Path) -> None:
    put(writer)
    place_of(root, digest(DATA)).write_bytes(b"changed")
    assert code(put(writer)) == (500, "evidence_changed")
    place_of(root, digest(DATA)).unlink()
    assert code(writer.get(ADDRESS)) == (500, "evidence_missing")


@pytest.mark.parametrize(
    "page",
    [b"<!DOCTYPE html><script>alert(1)</script>", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'],
)
def test_a_page_that_somebody_uploaded_is_never_rendered(writer: Client, signed_in: Any, page: bytes) -> None:
    sha256 = put(writer, page, Content_Disposition='attachment; filename="page.html"').json()["sha256"]
    console = signed_in(Role.AUDITOR)
    for client, address in (
        (writer, f"/evidence/{sha256}"),
        (console, f"/evidence/{sha256}"),
        (console, f"/admin/evidence/artifact/{sha256}/download/"),
    ):
        response = client.get(address)
        assert response["Content-Type"] == "application/octet-stream"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Content-Disposition"] == 'attachment; filename="page.html"'
        assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert b"".join(response) == page


def test_a_download_is_on_record_and_a_look_at_its_headers_is_none(writer: Client) -> None:
    put(writer)
    head = writer.head(ADDRESS)
    assert (head.status_code, head["Content-Length"], head.content) == (200, str(len(DATA)), b"")
    assert acts(Act.ARTIFACT_DOWNLOADED) == []
    b"".join(writer.get(ADDRESS))
    assert [(e.actor, e.subject) for e in acts(Act.ARTIFACT_DOWNLOADED)] == [("ci", f"artifact {digest(DATA)}")]


def test_the_list_is_newest_first_and_leads_on(writer: Client) -> None:
    for n in range(5):
        uploaded(b"%d" % n, name=f"{n}.txt")
    seen, address = [], "/evidence/?limit=2"
    while address:
        page = writer.get(address).json()
        assert len(page["artifacts"]) <= 2
        seen += [artifact["uploads"][0]["name"] for artifact in page["artifacts"]]
        address = page["next"]
    assert seen == ["4.txt", "3.txt", "2.txt", "1.txt", "0.txt"]
    assert code(writer.get("/evidence/?limit=0")) == (400, "evidence_request_invalid")


# tokens


@pytest.mark.parametrize(
    ("scopes", "may_put", "may_get"),
    [((Scope.EVIDENCE_WRITE,), 201, 403), ((Scope.EVIDENCE_READ,), 403, 200), (tuple(Scope), 201, 200)],
)
def test_a_token_may_what_its_scopes_say(scopes: tuple[Scope, ...], may_put: int, may_get: int) -> None:
    client = bearer(token(*scopes))
    assert put(client).status_code == may_put
    sha256 = uploaded(b"there").upload.artifact_id
    for address in (f"/evidence/{sha256}", "/evidence/"):
        assert client.get(address).status_code == may_get
        assert client.head(address).status_code == may_get


def test_a_token_opens_no_page_of_the_console() -> None:
    assert bearer(token(*Scope)).get("/admin/evidence/artifact/").status_code == 302


def forged(text: str) -> str:
    return f"{text[:-1]}{'0' if text[-1] != '0' else '1'}"


@pytest.mark.parametrize("what", ["forged", "unknown", "expired", "revoked", "cut", "basic", "empty", "none"])
def test_any_other_token_is_refused_with_one_answer(what: str) -> None:
    good = token(*Scope)
    header = {
        "forged": f"Bearer {forged(good)}",
        "unknown": f"Bearer acst_{'0' * 12}_{'0' * 64}",
        "expired": f"Bearer {token(*Scope, name='old', age=timedelta(days=1))}",
        "revoked": f"Bearer {token(*Scope, name='ended')}",
        "cut": f"Bearer {good[:-1]}",
        "basic": f"Basic {good}",
        "empty": "Bearer ",
        "none": "",
    }[what]
    if what == "revoked":
        service_tokens.revoke(actor=SHELL, name="ended", now=datetime.now(UTC))
    client = Client(headers={"Authorization": header} if header else {})
    told = (401, "authentication_required" if what == "none" else "service_token_refused")
    for response in (put(client), client.get(ADDRESS), client.get("/evidence/")):
        assert code(response) == told
        assert response["WWW-Authenticate"].startswith("Bearer")
    assert Artifact.objects.count() == 0
    assert bearer(good).get("/evidence/").status_code == 200


def test_the_secret_is_kept_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    text = token(*Scope)
    secret = text.rpartition("_")[2]
    put(bearer(text))
    put(bearer(forged(text)))
    row = ServiceToken.objects.get()
    kept = f"{row.__dict__} {list(AuditEntry.objects.values())} {caplog.text}"
    assert secret not in kept
    assert secret.encode() not in bytes(row.secret_sha256)


def test_a_token_does_not_leave_for_sentry() -> None:
    from autocom.scrubbing import without_data

    text = token(*Scope)
    assert text not in without_data(f"refused {text} at the door")
    assert text.rpartition("_")[2] not in without_data(f"refused {text} at the door")


def test_the_last_use_is_noted_by_the_day() -> None:
    client = bearer(token(*Scope))
    client.get("/evidence/")
    first = ServiceToken.objects.get().last_used_at
    client.get("/evidence/")
    assert first is not None
    assert ServiceToken.objects.get().last_used_at == first
    ServiceToken.objects.update(last_used_at=first - timedelta(days=1))
    client.get("/evidence/")
    again = ServiceToken.objects.get().last_used_at
    assert again is not None
    assert again >= first


# people


@pytest.mark.parametrize("role", [*Role, None])
def test_a_person_may_what_their_role_says(signed_in: Any, role: Role | None) -> None:
    held = PERMISSIONS_BY_ROLE[role] if role else frozenset()
    client = signed_in(role)
    sha256 = uploaded(b"there").upload.artifact_id
    may_read, may_upload = Permission.EVIDENCE_READ in held, Permission.EVIDENCE_UPLOAD in held
    for address in (
        "/evidence/",
        f"/evidence/{sha256}",
        "/admin/evidence/artifact/",
        f"/admin/evidence/artifact/{sha256}/change/",
        f"/admin/evidence/artifact/{sha256}/verify/",
        f"/admin/evidence/artifact/{sha256}/download/",
    ):
        assert client.get(address).status_code == (200 if may_read else 403), address
    assert put(client).status_code == (201 if may_upload else 403)
    assert client.get("/admin/evidence/artifact/upload/").status_code == (200 if may_upload else 403)
    refused = {entry.facts["permission"] for entry in acts(Act.PERMISSION_REFUSED)}
    assert refused == ({Permission.EVIDENCE_READ} - held) | ({Permission.EVIDENCE_UPLOAD} - held)


def test_a_session_needs_the_csrf_header_and_a_token_does_not(person: Any, writer: Client) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person(Role.DRI), backend=MODEL_BACKEND)
    assert code(put(client)) == (403, "permission_refused")
    assert Artifact.objects.count() == 0
    assert put(writer).status_code == 201


def test_a_user_who_is_no_staff_does_not_come_in(person: Any) -> None:
    user: User = person(Role.DRI, staff=False)
    client = Client()
    client.force_login(user, backend=MODEL_BACKEND)
    assert code(client.get("/evidence/")) == (401, "authentication_required")


# uploads in several requests


def put_part(client: Client, first: int, end: int, *, data: bytes = DATA, total: int | None = None) -> Any:
    content_range = f"bytes {first}-{end - 1}/{len(data) if total is None else total}"
    return put(client, data[first:end], address=f"/evidence/{digest(data)}", Content_Range=content_range)


def ask(client: Client, data: bytes = DATA) -> Any:
    return put(client, b"", address=f"/evidence/{digest(data)}", Content_Range=f"bytes */{len(data)}")


def test_an_upload_goes_on_where_it_broke_off(writer: Client, root: Path) -> None:
    assert (ask(writer).status_code, ask(writer).get("Range")) == (308, None)
    first = put_part(writer, 0, 6_000)
    assert (first.status_code, first["Range"]) == (308, "bytes=0-5999")
    assert ask(writer)["Range"] == "bytes=0-5999"
    assert put_part(writer, 9_000, 10_000)["Range"] == "bytes=0-5999"  # a hole is not filled by guessing
    assert put_part(writer, 4_000, 9_000)["Range"] == "bytes=0-8999"  # what is known already is left out
    assert Artifact.objects.count() == 0
    assert put_part(writer, 9_000, len(DATA)).status_code == 201
    assert b"".join(writer.get(ADDRESS)) == DATA
    assert ask(writer).status_code == 200
    assert [path for path in root.rglob("*") if path.is_file()] == [place_of(root, digest(DATA))]


def test_what_a_broken_part_brought_stays(writer: Client) -> None:
    headers = {"Content-Range": f"bytes 0-999/{len(DATA)}"}
    response = cut_short(writer, DATA[:500], declared_bytes=1_000, headers=headers)
    assert code(response) == (400, "evidence_incomplete")
    assert ask(writer)["Range"] == "bytes=0-499"


def test_parts_that_do_not_make_the_whole_are_thrown_away(writer: Client, root: Path) -> None:
    put_part(writer, 0, 6_000)
    wrong = put(
        writer, b"x" * (len(DATA) - 6_000), address=ADDRESS, Content_Range=f"bytes 6000-{len(DATA) - 1}/{len(DATA)}"
    )
    assert code(wrong) == (409, "evidence_checksum_mismatch")
    assert [path for path in root.rglob("*") if path.is_file()] == []
    assert put_part(writer, 0, len(DATA)).status_code == 201


@pytest.mark.parametrize(
    "text", ["bytes 0-9/5", "bytes 5-4/10", "bytes 0-3/100", "0-9/10", "bytes a-b/c", "bytes 0-9/*", "bytes */x"]
)
def test_a_range_that_does_not_fit_is_refused(writer: Client, text: str) -> None:
    assert code(put(writer, DATA[:10], address=ADDRESS, Content_Range=text)) == (400, "evidence_request_invalid")


def test_a_total_above_the_limit_is_refused_at_its_first_part(writer: Client) -> None:
    assert code(put_part(writer, 0, 10, total=LIMIT_BYTES + 1)) == (413, "evidence_too_large")


def test_unfinished_uploads_are_bounded_and_expire(writer: Client, root: Path) -> None:
    import os
    import time

    for n in range(PARTIALS_LIMIT_COUNT):
        assert put_part(writer, 0, 10, data=b"%03d" % n + DATA).status_code == 308
    refused = put_part(writer, 0, 10)
    assert code(refused) == (503, "evidence_too_many_partial_uploads")
    assert refused["Retry-After"]
    for path in (root / "partial").iterdir():
        os.utime(path, (time.time() - 90_000,) * 2)
    assert put_part(writer, 0, 10).status_code == 308
    assert len(list((root / "partial").iterdir())) == 1


def test_two_requests_do_not_add_to_one_upload_at_once(writer: Client, root: Path) -> None:
    import fcntl

    put_part(writer, 0, 10)
    (path,) = (root / "partial").iterdir()
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert code(put_part(writer, 10, 20)) == (503, "evidence_upload_busy")
    assert put_part(writer, 10, 20)["Range"] == "bytes=0-19"


def test_a_link_in_place_of_an_unfinished_upload_is_not_written_through(
    writer: Client, root: Path, tmp_path: Path
) -> None:
    put_part(writer, 0, 10)
    (path,) = (root / "partial").iterdir()
    path.unlink()
    (victim := tmp_path / "victim").write_bytes(b"")
    path.symlink_to(victim)
    assert put_part(writer, 0, 10).status_code == 503
    assert victim.read_bytes() == b""
