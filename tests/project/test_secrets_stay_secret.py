"""A provider's secrets are in no log, event, table, key, page or message that a rotation leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from ingestion.buffer.store import LaneBuffer
from ingestion.models import Provider, ProviderSecret
from ingestion.provider_book import ProviderBook
from ingestion.providers import generic
from ingestion.providers.adapter import Secret
from ingestion.secret_box import unseal
from tests.console.conftest import MODEL_BACKEND
from tests.project.fake_sentry import FakeSentry, fake_sentry
from tests.support.ingress import NO_DATABASE, PROJECT, Ingress, request_bytes, running_ingress
from tests.support.workers import database_url, environment

pytestmark = pytest.mark.django_db(transaction=True)

GIVEN = "given-secret-4c1f0de7a99b35e2"
MALFORMED = "malformed-9f2c11"


@pytest.fixture
def sentry() -> Iterator[FakeSentry]:
    with fake_sentry() as sentry:
        yield sentry


@dataclass
class Scenario:
    """Everything that was written, by where."""

    dsn: str
    written: dict[str, str] = field(default_factory=dict)

    def manage(self, *words: str, stdin: str = "", name: str = "", **environ: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", "provider", *words],
            cwd=PROJECT,
            env={**environment(), "SENTRY_DSN": self.dsn, **environ},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.written[f"{name or ' '.join(words)}: messages"] = done.stderr
        if not name:
            self.written[f"{' '.join(words)}: output"] = done.stdout
        return done.stdout


def post(ingress: Ingress, secret: Secret, body: bytes) -> int:
    headers, body = generic.sign(body, secret=secret, options=generic.Options(), url="", now_us=time.time_ns() // 1_000)
    signed = [*headers.items(), ("Content-Length", str(len(body)))]
    return ingress.send(request_bytes(body, signed, path="/webhooks/acme")).status


def await_status(ingress: Ingress, secret: Secret, status: int) -> None:
    deadline = time.monotonic() + 30
    while post(ingress, secret, b'{"id":"%d"}' % time.monotonic_ns()) != status:
        assert time.monotonic() < deadline, ingress.log()[-2_000:]
        time.sleep(0.1)


def tables() -> str:
    with connection.cursor() as cursor:
        found = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT t::text FROM "{table}" t')  # noqa: S608  (our own tables)
            found += [row[0] for row in cursor.fetchall()]
    return "\n".join(found)


def keys(buffer: LaneBuffer) -> str:
    client = buffer.client
    read: dict[Any, Any] = {
        b"hash": client.hgetall,
        b"stream": client.xrange,
        b"string": client.get,
        b"set": client.smembers,
    }
    return str([(key, read.get(client.type(key), client.dump)(key)) for key in client.keys("*")])


def pages(client: Client, provider: Provider) -> str:
    base = f"/admin/ingestion/provider/{provider.pk}"
    paths = [f"{base}/{page}/" for page in ("change", "history", "rotate")]
    paths += [f"{base}/secrets/{each.fingerprint}/revoke/" for each in provider.secrets.all()]
    posted = client.post(f"{base}/rotate/", {"secret": GIVEN, "overlap_hours": "x", "newest": ""})
    return "".join(client.get(path).content.decode() for path in ("/admin/ingestion/provider/", *paths)) + str(
        posted.content
    )


def test_a_rotation_leaves_no_secret_anywhere(
    buffer: LaneBuffer, sentry: FakeSentry, caplog: pytest.LogCaptureFixture, django_user_model: type
) -> None:
    scenario = Scenario(dsn=sentry.dsn)
    scenario.manage("add", "acme", "--scheme", "generic", "--secret-file", "-", stdin=GIVEN)
    sabotage: dict[str, Any] = {"SENTRY_DSN": sentry.dsn, "DJANGO_SETTINGS_MODULE": "tests.project.sabotage.settings"}
    old = Secret(value=GIVEN, fingerprint="given")
    with running_ingress(
        redis_url=settings.AUTOCOM.redis_url, db_url=database_url(), **sabotage, SABOTAGE="accept"
    ) as ingress:
        await_status(ingress, old, 500)  # believed, then sabotaged: so Sentry gets an event of this very request
        shown = scenario.manage("rotate", "acme", "--json", name="rotate")
        new = Secret(value=json.loads(shown)["secret"], fingerprint="new")
        await_status(ingress, new, 500)
        assert post(ingress, Secret(value="x" * 32, fingerprint="wrong"), b"{}") == 401
        scenario.manage("rotate", "acme", "--secret-file", "-", stdin=GIVEN)  # known already
        scenario.manage("rotate", "acme", "--secret-file", "-", stdin=MALFORMED)
        scenario.manage("rotate", "acme", "--secret-file", GIVEN)  # taken for a path
        scenario.manage("rotate", "acme", "--secret-file", "-", stdin=GIVEN, DB_URL=NO_DATABASE)
        old_fingerprint = ProviderSecret.objects.order_by("pk")[0].fingerprint
        for words in (("list",), ("show", "acme", "--json"), ("test", "acme"), ("revoke", "acme", old_fingerprint)):
            scenario.manage(*words)
        scenario.manage("revoke", "acme", old_fingerprint, "--force")
        await_status(ingress, old, 401)
        sentry.wait_for_event()
        scenario.written["the ingress's log"] = ingress.log()
    client = Client()
    root = django_user_model.objects.create_user("root", is_staff=True, is_superuser=True)  # type: ignore[attr-defined]
    client.force_login(root, backend=MODEL_BACKEND)
    acme = Provider.objects.get(name="acme")
    book = ProviderBook()
    book.refresh()
    scenario.written |= {
        "Sentry": b"\n".join(sentry.envelopes).decode(),
        "pages": pages(client, acme),
        "tables": tables(),
        "Redis": keys(buffer),
        "this process's log": caplog.text,
        "repr": repr((book.named("acme"), list(acme.secrets.all()), new)),
    }
    secrets = {GIVEN, new.value, MALFORMED}
    assert {unseal(row.ciphertext) for row in acme.secrets.all()} == secrets - {MALFORMED}
    wanted = {form for value in secrets for form in (value, value.encode().hex())}
    assert [place for place, text in scenario.written.items() if any(form in text for form in wanted)] == []
    assert all(scenario.written[place] for place in ("Sentry", "the ingress's log", "tables", "Redis"))
    assert "SpilledError" in scenario.written["Sentry"]
