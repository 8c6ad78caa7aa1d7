"""One whole installation, used and misused: no secret that it had is in anything that it wrote, sent or showed."""

from __future__ import annotations

import base64
import http.cookiejar
import json
import re
import secrets as random_secrets
import signal
import subprocess
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.urls import reverse

from autocom.local_servers import addresses
from console.navigation import SECTIONS
from tests.project.fake_sentry import FakeSentry, fake_sentry
from tests.project.otlp_receiver import OtlpReceiver, otlp_receiver
from tests.project.up_kit import READY, Up, new_up, wait_for
from tests.support.senders import event_body, signed_headers

ADDRESS = "ada.of.the.run@example.com"
PAGES_LIMIT_COUNT = 80
SHORTEST_CHARS = 10  # a recovery code; below it a secret would be found in ordinary bytes
LOGS = ("ingress", "console", "autoscale", "worker-1", "ops-worker", "cron")


def forms_of(secret: str) -> set[str]:
    """As it may stand in a text, a column of bytes, a header or a URL."""
    raw = secret.encode()
    # base64 of whole groups of three bytes, from each of the three places where a group may begin
    groups = [raw[at : at + (len(raw) - at) // 3 * 3] for at in range(3)]
    encoded = {encode(group).decode() for group in groups for encode in (base64.b64encode, base64.urlsafe_b64encode)}
    quoted = {urllib.parse.quote(secret, safe=""), urllib.parse.quote_plus(secret), json.dumps(secret)[1:-1]}
    return {secret, raw.hex(), raw.hex().upper(), *encoded, *quoted}


def leaks(written: Mapping[str, str], secrets: Mapping[str, str]) -> list[str]:
    """Which secret is where."""
    return [
        f"{name} in {place}"
        for name, secret in secrets.items()
        for place, text in written.items()
        if any(form in text for form in forms_of(secret))
    ]


def leaks_in_files(folder: Path, secrets: Mapping[str, str], *, patterns: Path) -> list[str]:
    """Which secret is in which file below the folder, whatever the file is; `patterns` is written, outside of it."""
    names = {form: name for name, secret in secrets.items() for form in forms_of(secret)}
    patterns.write_text("\n".join(names))
    grep = ["grep", "-r", "-a", "-o", "-F", "-f", str(patterns), "."]
    done = subprocess.run(grep, cwd=folder, capture_output=True, env={"LC_ALL": "C"}, check=False)
    patterns.unlink()
    assert done.returncode in (0, 1), done.stderr
    matches = {line.partition(":")[::2] for line in done.stdout.decode().splitlines()}
    return sorted({f"{names[form]} in {path.removeprefix('./')}" for path, form in matches})


@pytest.mark.parametrize("before", ["", "u", "us"])
def test_a_planted_leak_is_found_in_each_form(before: str, tmp_path: Path) -> None:
    secret = "p1anted+secret/of 32-characters!"
    (folder := tmp_path / "folder").mkdir()
    whole = f"{before}{secret}".encode()
    forms = forms_of(secret) | {base64.b64encode(whole).decode(), base64.urlsafe_b64encode(whole).decode(), whole.hex()}
    for form in forms:
        assert leaks({"a page": f"<p>{form}</p>"}, {"planted": secret}) == ["planted in a page"]
        (folder / "page").write_bytes(b"\x00\xff\n" + form.encode() + b"\x00")
        found = leaks_in_files(folder, {"planted": secret}, patterns=tmp_path / "patterns")
        assert found == ["planted in page"]
    assert leaks({"a page": "<p>nothing</p>"}, {"planted": secret}) == []
    assert leaks_in_files(folder, {"other": "another secret"}, patterns=tmp_path / "patterns") == []


@dataclass
class Run:
    """What was used (`secrets`) and what came out, by where (`written`)."""

    up: Up
    secrets: dict[str, str] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    replayed: str = ""  # the id of its replay run

    def manage(self, *words: str, shows: str = "", **environ: str) -> str:
        """`shows`: the one key of the JSON that is shown once, on purpose; it becomes a secret."""
        before, self.up.extra = self.up.extra, {**self.up.extra, **environ}
        done = self.up.manage(*words)
        self.up.extra = before
        place = f"manage.py {' '.join(words)}"
        self.written[f"{place}: messages"] = done.stderr
        if shows:
            self.secrets[f"{shows} of {place}"] = json.loads(done.stdout)[shows]
            *_, half = self.secrets[f"{shows} of {place}"].split("_")  # a token's id is no secret
            self.secrets[f"{shows} of {place}, its secret half"] = half
        else:
            self.written[f"{place}: output"] = done.stdout
        return done.stdout

    def fetch(self, url: str, *, data: bytes | None = None, headers: Mapping[str, str] = {}, opener: Any = None) -> int:
        status, text = self.ask(url, data=data, headers=headers, opener=opener)
        number = sum(place.startswith("answer ") for place in self.written)
        self.written[f"answer {number} of {urllib.parse.urlsplit(url).path}"] = text
        return status

    def ask(
        self, url: str, *, data: bytes | None = None, headers: Mapping[str, str] = {}, opener: Any = None
    ) -> tuple[int, str]:
        """Status, and headers with the body. Not kept: for what is shown once, on purpose."""
        request = urllib.request.Request(url, data=data, headers=dict(headers))  # noqa: S310  (our own)
        try:
            with (opener or urllib.request.build_opener()).open(request, timeout=60) as answer:
                status, text, told = answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as refused:
            status, text, told = refused.code, refused.read(), refused.headers
        handed = re.sub(r"(?m)^(Set-Cookie: sessionid=)[^;\n]*", r"\1", str(told))  # to whom it belongs
        return int(status), f"{handed}\n{text.decode(errors='replace')}"


@pytest.fixture(scope="module")
def run() -> Iterator[tuple[Run, FakeSentry, OtlpReceiver]]:
    with ExitStack() as stack:
        sentry = stack.enter_context(fake_sentry())
        collector = stack.enter_context(otlp_receiver())
        up = stack.enter_context(new_up())
        token = f"otel-{random_secrets.token_hex(16)}"
        endpoint_token = f"acst_1_{random_secrets.token_hex(16)}"
        client_secret = f"oidc-{random_secrets.token_hex(16)}"
        up.extra = {
            "SENTRY_DSN": sentry.dsn,
            "SENTRY_TRACES_SAMPLE_RATE": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{token}",
            "EVIDENCE_ENDPOINT": "http://127.0.0.1:1/evidence",
            "EVIDENCE_ENDPOINT_TOKEN": endpoint_token,
            "OIDC_ISSUER": "http://127.0.0.1:1/realms/ours",
            "OIDC_CLIENT_ID": "autocom",
            "OIDC_CLIENT_SECRET": client_secret,
            "APP_BASE_URL": f"http://127.0.0.1:{up.console_port}",
            "DJANGO_SETTINGS_MODULE": "tests.project.sabotage.settings",
            "SABOTAGE": "page",  # /metrics fails with an error that tells every secret
            "SECOND_FACTOR": "optional",
            "TMPDIR": str(up.data_dir.parent / "tmp"),
        }
        (up.data_dir.parent / "tmp").mkdir()
        up.start()
        wait_for(up.is_ready, what=lambda: f"readiness\n{up.text()}")
        found = Run(
            up=up, secrets={"token for spans": token, "token for evidence": endpoint_token, "client": client_secret}
        )
        for file in (up.data_dir / "secrets").iterdir():
            lines = [line for line in file.read_text().splitlines() if not line.startswith("-----")]
            found.secrets |= {f"{file.name} {number}": line for number, line in enumerate(lines) if len(line) > 16}
        found.secrets |= {f"password of {name}": password for name, password in up.first_passwords.items()}
        yield found, sentry, collector


def test_no_secret_of_a_whole_run_is_in_anything_that_it_wrote(run: tuple[Run, FakeSentry, OtlpReceiver]) -> None:
    found, sentry, collector = run
    up = found.up
    use_commands(found)
    use_webhooks(found)
    session = use_console(found)
    use_api(found)
    use_evidence(found)
    wait_for(lambda: sentry.events(), what=lambda: "the error of /metrics at Sentry")
    wait_for(lambda: collector.spans(), what=lambda: "spans")
    found.written |= {
        "command lines": "\n".join(up.processes().values()),
        **{f"table {name}": text for name, text in tables(up)},
        "Redis": everything_in_redis(up),
    }
    up.signal(signal.SIGTERM)  # PostgreSQL writes out what it has in memory, services send and log their last
    found.written |= {
        "what up said after its start": up.text().partition(READY)[2],
        "Sentry": b"\n".join(sentry.envelopes).decode(errors="replace"),
        "spans": "\n".join(body.decode(errors="replace") for _, _, body in collector.requests),
        **{f"log {log.name}": log.read_text(errors="replace") for log in (up.data_dir / "logs").iterdir()},
    }
    everything_is_there(found)
    assert leaks(found.written, found.secrets) == []
    private = {place: text for place, text in found.written.items() if place in ("Sentry", "spans") or "log " in place}
    assert leaks(private, {"the address of a person": ADDRESS}) == []
    cookie = {"the session's cookie": session}  # Django keeps it as the key of its row
    assert leaks(found.written, cookie) == ["the session's cookie in table console_consolesession"]
    files_say_no_secret(found)


def everything_is_there(found: Run) -> None:
    """Where nothing was written, nothing would be found."""
    for place in (
        "Sentry",
        "spans",
        "table ingestion_event",
        "table auth_user",
        "table mfa_authenticator",
        "Redis",
        "log ingress.log",
    ):
        assert found.written[place], f"{place} is empty"
    assert found.written.keys() >= {f"log {name}.log" for name in LOGS}
    assert "SpilledError" in found.written["Sentry"]
    for told in ("receive", "job sweep", "GET admin:index", "POST admin:login"):
        assert told in found.written["spans"]
    assert '"transaction":"POST admin:second_factor"' in found.written["Sentry"]
    assert "SpilledError" in found.written["log console.log"]
    assert "manage.py worker" in found.written["command lines"]
    assert sum(place.startswith("answer ") for place in found.written) > 40
    assert len(found.secrets) > 25
    assert [name for name, secret in found.secrets.items() if len(secret) < SHORTEST_CHARS] == []


def files_say_no_secret(found: Run) -> None:
    """The raw files of PostgreSQL (old versions of rows and the write-ahead log among them) and Valkey, evidence, runs,
    bundles, exports, temporary files: all but the folder of the secrets itself."""
    base = found.up.data_dir.parent
    patterns = base.with_name(f"{base.name}-patterns")
    for file in (found.up.data_dir / "secrets").iterdir():
        assert file.stat().st_mode & 0o077 == 0, f"{file.name} is open to others"
        file.unlink()
    assert all((found.up.data_dir / name).stat().st_size for name in ("postgres.log", "valkey.log"))
    (base / "output").unlink()  # the passwords that the first start shows once; what came after was looked at
    known = {"event": "evt-of-the-run", "run": found.replayed}
    searched = leaks_in_files(base, known, patterns=patterns)
    for kind in ("event in data/pg", "event in data/valkey", "run in data/evidence/", "run in exports/unpacked/"):
        assert any(each.startswith(kind) for each in searched), f"{kind} is not searched: {searched}"
    assert any("/pg_wal/" in each for each in searched)
    assert leaks_in_files(base, found.secrets, patterns=patterns) == []


def use_commands(run: Run) -> None:
    run.manage("provider", "add", "acme", "--scheme", "generic", "--json", shows="secret")
    run.manage("provider", "rotate", "acme", "--json", shows="secret")
    scopes = [word for scope in ("evidence:read", "evidence:write", "events:read") for word in ("--scope", scope)]
    run.manage("service_token", "create", "ci", *scopes, "--json", shows="token")
    run.manage("service_token", "rotate", "ci", "--json", shows="token")
    run.manage("destination", "add", "pager", "https://alerts.example.com/hook", "--json", shows="secret")
    rotated = run.secrets["secret of manage.py provider rotate acme --json"]
    for words in (
        ("provider", "show", "acme", "--json"),
        ("provider", "test", "acme"),
        ("service_token", "list"),
        ("destination", "list", "--json"),
        ("doctor", "--json"),
        ("provider", "rotate", "acme", "--secret-file", rotated),  # taken for a path
    ):
        run.manage(*words)
    password = f"pw-{random_secrets.token_hex(12)}"
    run.secrets["password of a database that is away"] = password
    run.manage(
        "doctor",
        "--only",
        "postgres",
        DB_URL=f"postgresql://user:{password}@127.0.0.1:1/x",
        SECRET_KEY="k" * 12 + random_secrets.token_hex(20),
        WEBHOOK_BEARER_KEY=random_secrets.token_hex(24),
        WEBHOOK_HMAC_SECRET=random_secrets.token_hex(24),
    )


def use_evidence(run: Run) -> None:
    """A replay with its files, a bundle of it, and the audit log as a file: all below the folder that is searched."""
    out = run.up.data_dir.parent / "exports"
    out.mkdir()
    told = run.manage("replay", "--count", "200", "--rate", "200", "--json")
    run.replayed = json.loads(told)["run_id"]
    run.manage("evidence", "export", "--run", "latest", "--out", str(out))
    (archive,) = out.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(out / "unpacked", filter="data")
    run.manage("audit", "export", "--out", str(out / "audit.jsonl"))


def use_webhooks(run: Run) -> None:
    up = run.up
    bearer, secret = (run.secrets[f"{name} 0"] for name in ("WEBHOOK_BEARER_KEY", "WEBHOOK_HMAC_SECRET"))
    body = event_body("evt-of-the-run", to=ADDRESS)
    good = signed_headers(body, secret=secret, bearer=bearer)
    base = f"http://127.0.0.1:{up.ingress_port}"
    wrong = good | {"X-Webhook-Signature": f"sha256={secret}"}  # the secret, sent in place of a signature
    swapped = good | {"Authorization": f"Bearer {secret}"}
    assert run.fetch(f"{base}/webhooks/default", data=body, headers=good) == 202
    assert run.fetch(f"{base}/webhooks/default?token={secret}", data=body, headers=good) == 202
    assert run.fetch(f"{base}/webhooks/default", data=body, headers=wrong) == 401
    assert run.fetch(f"{base}/webhooks/default", data=body, headers=swapped) == 401
    assert run.fetch(f"{base}/webhooks/{secret}", data=body, headers=good) == 404
    assert run.fetch(f"{base}/{bearer}", headers=good) == 404
    run.fetch(f"{base}/readyz")
    stored = "SELECT count(*) FROM ingestion_event WHERE message_id = %s"
    wait_for(lambda: up.rows(stored, "evt-of-the-run") == [(1,)], what=lambda: "the event")
    run.manage("lineage", "evt-of-the-run", "--json")
    run.manage("provider", "diagnose", "default")


def use_console(run: Run) -> str:
    """The cookie of a session that was signed in."""
    site = f"http://127.0.0.1:{run.up.console_port}"
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar := http.cookiejar.CookieJar()))
    password = run.secrets["password of admin"]

    def cookie(name: str) -> str:
        return next(cookie.value or "" for cookie in jar if cookie.name == name)

    def form(**given: str) -> bytes:
        return urllib.parse.urlencode({**given, "csrfmiddlewaretoken": cookie("csrftoken")}).encode()

    def sign_in(username: str, word: str) -> None:
        run.fetch(f"{site}/admin/login/", opener=browser)
        run.fetch(f"{site}/admin/login/", data=form(username=username, password=word, next="/admin/"), opener=browser)

    sign_in("admin", run.secrets["password of ops"])  # somebody else's
    sign_in("admin", password)
    waiting, seen = ["/admin/"], set[str]()
    while waiting and len(seen) < PAGES_LIMIT_COUNT:
        path = waiting.pop(0)
        if path in seen or "logout" in path:
            continue
        seen.add(path)
        run.fetch(f"{site}{path}", opener=browser)
        shown = list(run.written.values())[-1]
        waiting += [each.replace("&amp;", "&") for each in re.findall(r'href="(/admin/[^"#?]*)"', shown)]
    assert seen >= {reverse(item.url_name) for section in SECTIONS for item in section.items}
    run.ask(f"{site}/admin/ingestion/event/?q={urllib.parse.quote(password)}-nowhere", opener=browser)
    enrol(run, site, browser, form)
    run.fetch(f"{site}/admin/second-factor/", opener=browser)
    assert run.fetch(f"{site}/metrics") == 500
    assert run.fetch(f"{site}/admin/nowhere/", opener=browser) == 404
    return cookie("sessionid")


def enrol(run: Run, site: str, browser: Any, form: Any) -> None:
    """A second factor, whose seed and recovery codes are shown once; with a wrong password and a wrong code before."""
    page = f"{site}/admin/second-factor/"
    run.fetch(page, data=form(act="begin", password=run.secrets["password of ops"]), opener=browser)
    _, shown = run.ask(page, data=form(act="begin", password=run.secrets["password of admin"]), opener=browser)
    (fours,) = re.findall(r'id="factor-secret">([A-Z2-7 ]+)<', shown)
    seed = fours.replace(" ", "")
    run.secrets |= {"seed of a second factor": seed, "seed as it is shown": fours}
    run.ask(page, data=form(act="enrol", code="wrong"), opener=browser)  # it shows the seed again
    code = format_hotp_value(hotp_value(seed, int(time.time()) // 30))
    _, shown = run.ask(page, data=form(act="enrol", code=code), opener=browser)
    codes = re.findall(r'<li><code class="console-mono">(\d{5} \d{5})<', shown)
    assert len(codes) > 5, shown
    for number, each in enumerate(codes):
        run.secrets |= {f"recovery code {number}": each, f"recovery code {number} in one": each.replace(" ", "")}
    run.manage("sign_in", "locks")


def use_api(run: Run) -> None:
    site = f"http://127.0.0.1:{run.up.console_port}"
    token = next(value for name, value in run.secrets.items() if name.startswith("token of manage.py service_token cr"))
    for sent, path, status in (
        (token, "/evidence/", 200),
        (token[:-2] + "zz", "/evidence/", 401),
        (token, "/api/v1/mode", 200),
        (token, "/api/v1/gates/a", 200),
        (token, "/api/v1/lineage?id=evt-of-the-run", 200),
        (token, "/api/v1/audit/", 403),
        (token, f"/evidence/{'0' * 64}", 404),
    ):
        assert run.fetch(f"{site}{path}", headers={"Authorization": f"Bearer {sent}"}) == status, path
    for path in ("/readyz", "/healthz", "/log/", "/log/events/checkpoint"):
        run.fetch(f"{site}{path}")


def tables(up: Up) -> Iterator[tuple[str, str]]:
    with psycopg.connect(addresses.db_url(up.data_dir)) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (name,) in names:
            rows = connection.execute(f'SELECT t::text FROM "{name}" t').fetchall()  # noqa: S608  (our own tables)
            yield name, "\n".join(row[0] for row in rows)


def everything_in_redis(up: Up) -> str:
    client = redis.Redis.from_url(addresses.redis_url(up.data_dir))
    readers: dict[bytes, Any] = {
        b"hash": client.hgetall,
        b"stream": client.xrange,
        b"string": client.get,
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"list": lambda key: client.lrange(key, 0, -1),
    }
    found: list[tuple[Any, Any]] = []
    for key in client.keys("*"):
        kind = client.type(key)
        assert isinstance(kind, bytes)
        if kind in readers:
            found.append((key, readers[kind](key)))
    return str(found)
