"""A secret is rotated while its provider sends 1,000 webhooks a second: not one valid request is refused."""

from __future__ import annotations

import io
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import call_command

from ingestion.buffer.store import LaneBuffer
from ingestion.models import ProviderSecret
from ingestion.provider_changes.add import add_provider
from ingestion.provider_changes.revoke import revoke_secret
from ingestion.provider_changes.rotate import rotate_secret
from ingestion.provider_changes.secret_values import StoredSecret
from ingestion.providers import generic
from ingestion.providers.adapter import Secret
from tests.project.service_kit import await_answer, running_service
from tests.support.ingress import Ingress, OwnValkey, free_port, own_valkey, request_bytes, running_ingress
from tests.support.steady_sender import SteadySender
from tests.support.workers import database_url

pytestmark = pytest.mark.django_db(transaction=True)

RATE_PER_SECOND = 1_000.0
COUNT = 11_000
PATIENCE_SECONDS = 30.0


@pytest.fixture
def valkey() -> Iterator[OwnValkey]:
    with own_valkey() as valkey:
        yield valkey


def secret_of(stored: StoredSecret) -> Secret:
    assert stored.generated is not None
    return Secret(value=stored.generated, fingerprint=stored.fingerprint)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def signed(message_id: str, secret: Secret) -> tuple[Mapping[str, str], bytes]:
    body = b'{"id":"%s"}' % message_id.encode()
    return generic.sign(body, secret=secret, options=generic.Options(), url="", now_us=time.time_ns() // 1_000)


def is_known(ingress: Ingress, secret: Secret) -> bool:
    headers, body = signed("probe", secret)
    length = [("Content-Length", str(len(body)))]
    return ingress.send(request_bytes(body, [*headers.items(), *length], path="/webhooks/acme")).status == 202


def used_at(secret: Secret) -> datetime | None:
    return ProviderSecret.objects.get(fingerprint=secret.fingerprint).last_used_at


def test_a_rotation_at_1000_a_second_refuses_no_valid_request(valkey: OwnValkey) -> None:
    old = secret_of(add_provider(name="acme", scheme="generic", options={}, secret=None, now=datetime.now(UTC)).secret)
    with running_ingress(redis_url=valkey.url, db_url=database_url(), workers=2) as ingress:
        wait_for(lambda: all(is_known(ingress, old) for _ in range(10)), "the ingress does not know the provider")
        valkey.empty()
        sender = SteadySender(
            port=ingress.port,
            provider="acme",
            adapter=generic,
            options=generic.Options(),
            secret=old,
            rate_per_second=RATE_PER_SECOND,
            count=COUNT,
        )
        sender.start()
        wait_for(lambda: sender.answered() > 1_500, "the sender does not get going")
        new = secret_of(rotate_secret(name="acme", secret=None, now=datetime.now(UTC)).secret)
        time.sleep(4)  # every ingress reads the providers about once a second, later on a busy machine
        sender.secret, changed_at = new, datetime.now(UTC)
        time.sleep(1.5)  # what was signed with the old one is answered, its last use written
        assert used_at(old) is not None
        revoke_secret(name="acme", fingerprint=old.fingerprint, force=True, now=datetime.now(UTC))
        sent_before_the_revocation = sender.answered()
        sender.join()
        last_use_of_old, last_use_of_new = used_at(old), used_at(new)
        statuses = {status for _, status in sender.answers}
        by_secret = {
            name: sum(count for (fingerprint, _), count in sender.answers.items() if fingerprint == each.fingerprint)
            for name, each in {"old": old, "new": new}.items()
        }
        took_seconds = sender.ended_s - sender.started_s
        sys.stdout.write(f"{dict(sender.answers)} in {took_seconds:.2f} s; {by_secret}\n")
        assert statuses == {202}
        assert sender.answered() == COUNT == len(set(sender.acked_ids))
        assert sorted(valkey.stored_ids()) == sorted(sender.acked_ids)
        assert min(by_secret.values()) > 2_000
        assert COUNT - sent_before_the_revocation > 1_000  # it went on for a good while without the old one
        assert COUNT / took_seconds > 0.9 * RATE_PER_SECOND  # the load was what the name says
        assert last_use_of_old is not None
        assert last_use_of_new is not None
        assert abs(last_use_of_old - changed_at) < timedelta(seconds=1)
        assert last_use_of_new - last_use_of_old > timedelta(seconds=2)
        wait_for(lambda: not is_known(ingress, old), "the revoked secret is still believed")
        log = ingress.log()
    assert [value for value in (old.value, new.value) if value in log] == []


def test_the_test_verb_sends_what_a_real_ingress_takes(valkey: OwnValkey) -> None:
    added = add_provider(name="acme", scheme="standard", options={}, secret=None, now=datetime.now(UTC))
    with running_ingress(redis_url=valkey.url, db_url=database_url()) as ingress:
        target = f"http://127.0.0.1:{ingress.port}"
        wait_for(lambda: sent(target)[0] == 0, "the ingress does not take it")
        status, out = sent(target)
        assert (status, out.splitlines()[0]) == (0, "202")
        assert re.search(r'"receipt":\s*"acr1 ', out)
        revoke_secret(name="acme", fingerprint=added.secret.fingerprint, force=True, now=datetime.now(UTC))
        rotate_secret(name="acme", secret=None, now=datetime.now(UTC), not_before=datetime.now(UTC))
        wait_for(lambda: sent(target)[0] == 0, "the ingress does not take the new secret")


def sent(target: str) -> tuple[int, str]:
    out = io.StringIO()
    with redirect_stdout(out), pytest.raises(SystemExit) as ended:
        call_command("provider", "test", "acme", "--send", "--target", target)
    return int(ended.value.code or 0), out.getvalue()


def test_the_consoles_process_takes_a_stored_providers_webhooks_too_and_notes_the_use(
    buffer: LaneBuffer, tmp_path: Path
) -> None:
    secret = secret_of(
        add_provider(name="acme", scheme="generic", options={}, secret=None, now=datetime.now(UTC)).secret
    )
    port = free_port()
    with running_service("console", log_path=tmp_path / "log", CONSOLE_PORT=str(port)):
        await_answer(f"http://127.0.0.1:{port}/healthz")
        wait_for(lambda: posted_to(port, secret) == 202, "it knows no provider")
        wait_for(lambda: used_at(secret) is not None, "the use was not noted")


def posted_to(port: int, secret: Secret) -> int:
    headers, body = signed("acme-1", secret)
    request = urllib.request.Request(f"http://127.0.0.1:{port}/webhooks/acme", data=body, headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  (our own console)
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code
