"""Evidence in the console and at the shell."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client

from console.models import ServiceToken
from console.roles import Role
from evidence.audit import Act
from evidence.models import Artifact, AuditEntry, Upload
from tests.console.conftest import MODEL_BACKEND
from tests.support.evidence import LIMIT_BYTES, digest, place_of, uploaded, use_store

pytestmark = pytest.mark.django_db

DATA = b'{"events": 30000}'
UPLOAD = "/admin/evidence/artifact/upload/"


@pytest.fixture(autouse=True)
def root(settings: Any, tmp_path: Path) -> Path:
    return use_store(settings, tmp_path / "evidence")


def send(client: Client, data: bytes = DATA, *, name: str = "run.json", **fields: str) -> Any:
    return client.post(UPLOAD, {"file": SimpleUploadedFile(name, data, "text/html"), **fields})


def errors_of(response: Any) -> dict[str, list[str]]:
    return {name: list(errors) for name, errors in response.context["form"].errors.items()}


def files_below(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_a_person_uploads_a_file_with_its_checksum_and_a_note(signed_in: Any, root: Path) -> None:
    response = send(signed_in(Role.DRI), sha256=digest(DATA).upper(), note="gate A")
    assert response["Location"] == f"/admin/evidence/artifact/{digest(DATA)}/change/"
    upload = Upload.objects.get()
    assert (upload.name, upload.actor, upload.note) == ("run.json", "dri", "gate A")
    assert upload.artifact.media_type == "application/json"  # whatever the browser said
    assert files_below(root) == [place_of(root, digest(DATA))]


def test_a_wrong_checksum_is_refused_at_its_field(signed_in: Any, root: Path) -> None:
    response = send(signed_in(Role.DRI), sha256=digest(b"other"), note="kept")
    assert digest(DATA) in errors_of(response)["sha256"][0]
    assert response.context["form"]["note"].value() == "kept"
    assert "64 hexadecimal digits" in errors_of(send(signed_in(superuser=True), sha256="abc"))["sha256"][0]
    assert (Artifact.objects.count(), files_below(root)) == (0, [])


def test_a_file_above_the_limit_is_refused_at_its_field(signed_in: Any, root: Path) -> None:
    response = send(signed_in(Role.DRI), b"x" * (LIMIT_BYTES + 1))
    assert "1.9 MiB" in errors_of(response)["file"][0]
    assert (Artifact.objects.count(), files_below(root)) == (0, [])


def test_the_quota_is_told_at_the_file(signed_in: Any, settings: Any, root: Path) -> None:
    use_store(settings, root, evidence_quota_bytes=10)
    assert "EVIDENCE_QUOTA_BYTES" in errors_of(send(signed_in(Role.DRI)))["file"][0]


def test_a_form_without_a_file_says_so(signed_in: Any) -> None:
    assert "file" in errors_of(signed_in(Role.DRI).post(UPLOAD, {"note": "x"}))


def test_a_root_that_cannot_be_written_is_told_on_the_page(signed_in: Any, settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    use_store(settings, tmp_path / "file" / "evidence")
    client = signed_in(Role.DRI)
    assert "EVIDENCE_ROOT" in client.get(send(client)["Location"]).content.decode()


def test_a_form_without_the_csrf_token_stores_nothing(person: Any, root: Path) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person(Role.DRI), backend=MODEL_BACKEND)
    assert send(client).status_code == 403
    assert (Artifact.objects.count(), files_below(root)) == (0, [])
    page = client.get(UPLOAD)
    token = page.context["csrf_token"]
    assert send(client, csrfmiddlewaretoken=str(token)).status_code == 302


def test_who_may_not_upload_is_refused_before_the_file_is_read(signed_in: Any, root: Path) -> None:
    assert send(signed_in(Role.AUDITOR)).status_code == 403
    assert (Artifact.objects.count(), root.exists()) == (0, False)
    assert (
        "Upload"
        not in signed_in(Role.LEADERSHIP).get("/admin/evidence/artifact/").content.decode().split("content")[-1]
    )


def test_the_list_and_the_detail_tell_who_brought_it(signed_in: Any) -> None:
    done = uploaded(DATA, name="first.json", note="gate A")
    uploaded(DATA, name="second.json")
    client = signed_in(Role.AUDITOR)
    listed = client.get("/admin/evidence/artifact/?q=second").content.decode()
    assert digest(DATA) in listed
    assert "first.json" in listed
    detail = client.get(f"/admin/evidence/artifact/{done.upload.artifact_id}/change/").content.decode()
    assert "second.json" in detail
    assert "os:tester" in detail
    assert "Nothing matches" in client.get("/admin/evidence/artifact/?q=third").content.decode()


@pytest.mark.parametrize(
    ("harm", "says"),
    [(None, "PASS"), ("change", "FAIL: changed"), ("remove", "FAIL: missing"), ("link", "FAIL: changed")],
)
def test_verify_now_reads_the_bytes(signed_in: Any, root: Path, tmp_path: Path, harm: str | None, says: str) -> None:
    place = place_of(root, uploaded(DATA).upload.artifact_id)
    if harm == "change":
        place.write_bytes(DATA[::-1])
    elif harm is not None:
        place.unlink()
    if harm == "link":
        place.symlink_to(tmp_path)
    page = signed_in(Role.LEADERSHIP).get(f"/admin/evidence/artifact/{digest(DATA)}/verify/")
    assert says in page.content.decode()


def test_a_download_of_missing_bytes_says_so(signed_in: Any, root: Path) -> None:
    place_of(root, uploaded(DATA).upload.artifact_id).unlink()
    response = signed_in(Role.AUDITOR).get(f"/admin/evidence/artifact/{digest(DATA)}/download/")
    assert response.status_code == 500
    assert "not in the store" in response.content.decode()
    assert not AuditEntry.objects.filter(act=Act.ARTIFACT_DOWNLOADED).exists()


@pytest.mark.parametrize("digest", ["a" * 64, "x", "%00"])
def test_an_unknown_digest_has_no_page_and_is_no_error(signed_in: Any, digest: str) -> None:
    client, artifact, bundle = signed_in(Role.AUDITOR), "/admin/evidence/artifact", f"/api/v1/bundles/{digest}"
    pages = [f"{artifact}/{digest}/download/", f"{artifact}/{digest}/verify/", f"/admin/bundles/{digest}/", bundle]
    assert [client.get(page).status_code for page in pages] == [404] * 4


# the shell


def run(command: str, *words: str) -> tuple[int, str, str]:
    out, errors = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", out)
        with pytest.raises(SystemExit) as ended:
            call_command(command, *words, stderr=errors)
    return int(ended.value.code or 0), out.getvalue(), errors.getvalue()


def test_files_go_in_and_out_at_the_shell(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_bytes(DATA + name.encode())
    ended, told, _ = run("evidence", "upload", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "--note", "gate A")
    assert (ended, told.count("stored")) == (0, 2)
    sha256 = digest(DATA + b"a.json")
    listed = json.loads(run("evidence", "list", "--json")[1])["artifacts"]
    assert [each["uploads"][0]["name"] for each in listed] == ["b.json", "a.json"]
    assert "gate A" in run("evidence", "list")[1]
    out = tmp_path / "out.json"
    assert run("evidence", "download", sha256, "--out", str(out))[0] == 0
    assert out.read_bytes() == DATA + b"a.json"
    assert "known already" in run("evidence", "upload", str(tmp_path / "a.json"))[1]


def test_the_shell_refuses_what_does_not_fit(tmp_path: Path, root: Path) -> None:
    (file := tmp_path / "a.json").write_bytes(DATA)
    assert run("evidence", "upload", str(file), "--sha256", digest(b"x"))[0] == 1
    assert run("evidence", "upload", str(file), str(file), "--sha256", digest(DATA))[0] == 2
    assert run("evidence", "upload", str(tmp_path / "none"))[0] == 2
    assert Artifact.objects.count() == 0
    assert run("evidence", "upload", str(file), "--sha256", digest(DATA))[0] == 0
    ended, _, errors = run("evidence", "download", digest(DATA), "--out", str(file))
    assert (ended, "exists" in errors, file.read_bytes()) == (2, True, DATA)
    place_of(root, digest(DATA)).write_bytes(b"changed")
    assert run("evidence", "download", digest(DATA), "--out", str(tmp_path / "new"))[0] == 1
    assert not (tmp_path / "new").exists()
    assert run("evidence", "download", "a" * 64, "--out", str(tmp_path / "new"))[0] == 1


def test_a_token_is_shown_once_listed_without_its_secret_and_revoked() -> None:
    ended, told, _ = run("service_token", "create", "ci", "--scope", "evidence:write", "--for", "7d")
    text = told.splitlines()[-1]
    assert (ended, text.startswith("acst_")) == (0, True)
    listed = run("service_token", "list")[1] + run("service_token", "list", "--json")[1]
    assert "valid" in listed
    assert text.rpartition("_")[2] not in listed
    assert run("service_token", "revoke", "ci")[:2] == (0, "ci is revoked\n")
    assert run("service_token", "revoke", "ci")[:2] == (0, "ci was revoked already\n")
    assert "revoked" in run("service_token", "list")[1]
    entries = AuditEntry.objects.filter(subject="service token ci").order_by("number")
    assert [entry.act for entry in entries] == [Act.SERVICE_TOKEN_CREATED, Act.SERVICE_TOKEN_REVOKED]
    assert text.rpartition("_")[2] not in str(list(entries.values()))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("CI!", "--scope", "evidence:read"), "a-z"),
        (("ci", "--scope", "evidence:read", "--for", "91d"), "90 days"),
        (("ci", "--scope", "evidence:read", "--for", "0"), "90 days"),
    ],
)
def test_a_token_that_may_not_be_is_refused_with_what_may(words: tuple[str, ...], says: str) -> None:
    ended, _, errors = run("service_token", "create", *words)
    assert (ended, says in errors, ServiceToken.objects.count()) == (2, True, 0)


def test_a_name_is_not_given_twice() -> None:
    assert run("service_token", "create", "ci", "--scope", "evidence:read")[0] == 0
    run("service_token", "revoke", "ci")
    ended, _, errors = run("service_token", "create", "ci", "--scope", "evidence:read")
    assert (ended, "given before" in errors) == (2, True)
    assert run("service_token", "revoke", "nobody")[0] == 2
