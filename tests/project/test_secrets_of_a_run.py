"""One whole installation, used and misused: no secret that it had is in anything that it wrote, sent or showed."""

from __future__ import annotations

import base64
import http.cookiejar
import json
import re
import secrets as random_secrets
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
import redis

from autocom.local_servers import addresses
from tests.project.fake_sentry import FakeSentry, fake_sentry
from tests.project.otlp_receiver import OtlpReceiver, otlp_receiver
from tests.project.up_kit import READY, Up, new_up, wait_for
from tests.support.senders import event_body, signed_headers

ADDRESS = "ada.of.the.run@example.com"
PAGES_LIMIT_COUNT = 80


def forms_of(secret: str) -> set[str]:
    """As it may stand in a text, a column of bytes, a header or a URL."""
    raw = secret.encode()
    # whole groups of three bytes alone look the same wherever base64 begins
    encoded = base64.b64encode(raw[: len(raw) // 3 * 3]).decode()
    return {secret, raw.hex(), encoded, urllib.parse.quote(secret, safe=""), json.dumps(secret)[1:-1]}


def leaks(written: Mapping[str, str], secrets: Mapping[str, str]) -> list[str]:
    """Which secret is where."""
    return [
        f"{name} in {place}"
        for name, secret in secrets.items()
        for place, text in written.items()
        if any(form in text for form in forms_of(secret))
    ]


def test_a_planted_leak_is_found_in_each_form() -> None:
    secret = "p1anted+secret/of-32-characters!"
    for form in forms_of(secret):
        assert leaks({"a page": f"<p>{form}</p>"}, {"planted": secret}) == ["planted in a page"]
    assert leaks({"a page": "<p>nothing</p>"}, {"planted": secret}) == []


@dataclass
class Run:
    """What was used (`secrets`) and what came out, by where (`written`)."""

    up: Up
    secrets: dict[str, str] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)

    def manage(self, *words: str, shows: str = "", **environ: str) -> str:
        """`shows`: the one key of the JSON that is shown once, on purpose; it becomes a secret."""
        before, self.up.extra = self.up.extra, {**self.up.extra, **environ}
        done = self.up.manage(*words)
        self.up.extra = before
        place = f"manage.py {' '.join(words)}"
        self.written[f"{place}: messages"] = done.stderr
        if shows:
            self.secrets[f"{shows} of {place}"] = json.loads(done.stdout)[shows]
        else:
            self.written[f"{place}: output"] = done.stdout
        return done.stdout

    def fetch(self, url: str, *, data: bytes | None = None, headers: Mapping[str, str] = {}, opener: Any = None) -> int:
        request = urllib.request.Request(url, data=data, headers=dict(headers))  # noqa: S310  (our own)
        try:
            with (opener or urllib.request.build_opener()).open(request, timeout=60) as answer:
                status, text, told = answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as refused:
            status, text, told = refused.code, refused.read(), refused.headers
        number = sum(place.startswith("answer ") for place in self.written)
        self.written[f"answer {number} of {urllib.parse.urlsplit(url).path}"] = (
            f"{told}\n{text.decode(errors='replace')}"
        )
        return int(status)


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
        }
        up.start()
        wait_for(up.is_ready, what=lambda: f"readiness\n{up.text()}")
        found = Run(
            up=up, secrets={"token for spans": token, "token for evidence": endpoint_token, "client": client_secret}
        )
        for file in (up.data_dir / "secrets").iterdir():
            lines = [line for line in file.read_text().splitlines() if line and not line.startswith("-----")]
            found.secrets |= {f"{file.name} {number}": line for number, line in enumerate(lines)}
        found.secrets |= {f"password of {name}": password for name, password in up.first_passwords.items()}
        yield found, sentry, collector


def test_no_secret_of_a_whole_run_is_in_anything_that_it_wrote(run: tuple[Run, FakeSentry, OtlpReceiver]) -> None:
    found, sentry, collector = run
    up = found.up
    use_commands(found)
    use_webhooks(found)
    use_console(found)
    use_api(found)
    wait_for(lambda: sentry.events(), what=lambda: "the error of /metrics at Sentry")
    wait_for(lambda: collector.spans(), what=lambda: "spans")
    found.written |= {
        "what up said after its start": up.text().partition(READY)[2],
        "Sentry": b"\n".join(sentry.envelopes).decode(errors="replace"),
        "spans": "\n".join(body.decode(errors="replace") for _, _, body in collector.requests),
        **{f"log {log.name}": log.read_text(errors="replace") for log in (up.data_dir / "logs").iterdir()},
        **{f"file {path.relative_to(up.data_dir)}": path.read_text(errors="replace") for path in evidence_files(up)},
        **{f"table {name}": text for name, text in tables(up)},
        "Redis": everything_in_redis(up),
    }
    for place in ("Sentry", "spans", "log ingress.log", "log console.log", "table ingestion_event", "table auth_user"):
        assert found.written[place], f"{place} is empty: nothing would be found there"
    assert "SpilledError" in found.written["Sentry"]
    assert "SpilledError" in found.written["log console.log"]
    assert sum(place.startswith("answer ") for place in found.written) > 40
    assert len(found.secrets) > 14
    assert leaks(found.written, found.secrets) == []
    private = {place: text for place, text in found.written.items() if place in ("Sentry", "spans") or "log " in place}
    assert leaks(private, {"the address of a person": ADDRESS}) == []


def use_commands(run: Run) -> None:
    run.manage("provider", "add", "acme", "--scheme", "generic", "--json", shows="secret")
    run.manage("provider", "rotate", "acme", "--json", shows="secret")
    run.manage(
        *("service_token", "create", "ci", "--scope", "evidence:read", "--scope", "evidence:write", "--json"),
        shows="token",
    )
    run.manage("destination", "add", "pager", "https://alerts.example.com/hook", "--json", shows="secret")
    for words in (
        ("provider", "list"),
        ("provider", "show", "acme", "--json"),
        ("provider", "test", "acme"),
        ("service_token", "list"),
        ("destination", "list", "--json"),
        ("doctor", "--json"),
        ("mode", "show"),
        ("provider", "rotate", "acme", "--secret-file", run.secrets["secret of manage.py provider rotate acme --json"]),
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


def use_console(run: Run) -> None:
    site = f"http://127.0.0.1:{run.up.console_port}"
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar := http.cookiejar.CookieJar()))
    password = run.secrets["password of admin"]

    def sign_in(username: str, word: str) -> None:
        run.fetch(f"{site}/admin/login/", opener=browser)
        token = next(cookie.value or "" for cookie in jar if cookie.name == "csrftoken")
        form = {"username": username, "password": word, "csrfmiddlewaretoken": token, "next": "/admin/"}
        run.fetch(f"{site}/admin/login/", data=urllib.parse.urlencode(form).encode(), opener=browser)

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
    assert len(seen) > 30, seen
    run.fetch(f"{site}/admin/ingestion/event/?q={urllib.parse.quote(password)}-nowhere", opener=browser)
    run.written.popitem()  # what somebody types into a search is shown to them again
    assert run.fetch(f"{site}/metrics") == 500
    assert run.fetch(f"{site}/admin/nowhere/", opener=browser) == 404


def use_api(run: Run) -> None:
    site = f"http://127.0.0.1:{run.up.console_port}"
    token = next(value for name, value in run.secrets.items() if name.startswith("token of"))
    for sent, path, status in (
        (token, "/evidence/", 200),
        (token[:-2] + "zz", "/evidence/", 401),
        (token, "/api/v1/mode", 200),
        (token, "/api/v1/gates/a", 200),
        (token, f"/evidence/{'0' * 64}", 404),
    ):
        assert run.fetch(f"{site}{path}", headers={"Authorization": f"Bearer {sent}"}) == status, path
    for path in ("/readyz", "/healthz", "/log/", "/log/events/checkpoint"):
        run.fetch(f"{site}{path}")


def evidence_files(up: Up) -> Iterator[Any]:
    yield from (path for path in (up.data_dir / "evidence").rglob("*") if path.is_file())


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
