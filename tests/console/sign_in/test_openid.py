"""By OpenID Connect comes in who the issuer vouches for in this very attempt, and whom an operator linked."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from console.models import ConsoleSession, IdentityLink
from console.roles import Role
from console.sign_in.openid.issuer import DISCOVERED
from evidence.audit import Actor
from evidence.decisions.dri import assign
from evidence.models import AuditEntry, Decision
from tests.console.sign_in.kit import (
    BACK,
    BEGIN,
    HOME,
    LOGIN,
    acts,
    by_password,
    code_of,
    enrolled,
    give_code,
    is_in,
    set_up_provider,
    text_of,
)
from tests.support.gates import frozen_gate, person
from tests.support.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider, SigningKey
from tests.support.ingress import PROJECT

pytestmark = pytest.mark.django_db
BASE = "http://testserver"
SET_UP = {
    "OIDC_ISSUER": "https://id.example.com",
    "OIDC_CLIENT_ID": "autocom",
    "OIDC_CLIENT_SECRET": "c7" * 20,
    "APP_BASE_URL": "https://autocom.example.com",
}
NOT_LINKED = "Your account there is not one that may use this console."
NOT_BELIEVED = "does not hold, so nobody was signed in"


@pytest.fixture
def provider(settings: Any) -> Iterator[IdentityProvider]:
    with set_up_provider(settings, base=BASE) as found:
        yield found


@pytest.fixture
def dri(provider: IdentityProvider) -> Any:
    """Linked, and without a password."""
    user = person("dri", Role.DRI)
    user.set_unusable_password()
    user.save()
    sign_in("link", "dri", "--subject", provider.subject, "--by", "olga")
    return user


def sign_in(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        call_command("sign_in", *words)
    return int(str(ended.value.code))


def press(client: Client, *, onward: str = "", address: str = BEGIN) -> str:
    """Where the page leads that the button leads to."""
    answer = client.post(address, {"next": onward}, REMOTE_ADDR=HOME)
    assert answer.status_code == 200, text_of(answer)
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', answer.content.decode())
    assert found is not None
    return html.unescape(found[1])


def come_back(client: Client, place: str) -> Any:
    return client.get(place.removeprefix(BASE), REMOTE_ADDR=HOME)


def through(client: Client, provider: IdentityProvider, **asked: str) -> Any:
    """Button, issuer and back; the answer to the browser."""
    return come_back(client, provider.sign_in(press(client, **asked)))


def newest(act: str) -> AuditEntry:
    return AuditEntry.objects.filter(act=act).latest("number")


def test_a_linked_person_comes_in_by_pkce_state_and_nonce_and_it_is_on_record(
    provider: IdentityProvider, dri: Any
) -> None:
    client = Client()
    assert "Sign in with Example ID" in text_of(client.get(LOGIN))
    answer = through(client, provider, onward="/admin/gates/")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/gates/")
    assert is_in(client)
    row = ConsoleSession.objects.get(user=dri)
    assert (row.factor, row.address) == ("OpenID Connect", HOME)
    identity = {"issuer": provider.issuer, "subject": provider.subject}
    entry = newest("session.signed_in")
    assert (entry.actor, entry.facts) == ("dri", {"address": HOME, "by": "OpenID Connect", **identity})
    linked = newest("identity.linked")
    assert (linked.actor, linked.subject, linked.facts) == ("os:olga", "user dri", identity)
    assert IdentityLink.objects.get().last_used_at is not None
    asked = provider.authorizations[-1]
    assert {"prompt", "max_age"} & set(asked) == set()
    told = f"{client.session.items()}"
    assert not any(asked[name] in told for name in ("state", "nonce")), "the attempt is over"


def test_the_secret_goes_in_the_form_where_the_issuer_takes_no_other_way(provider: IdentityProvider, dri: Any) -> None:
    provider.discovery = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    client = Client()
    through(client, provider)
    assert is_in(client)


def test_nothing_of_the_claims_changes_the_person_and_nobody_is_made(provider: IdentityProvider, dri: Any) -> None:
    before = list(User.objects.values())
    through(Client(), provider)
    drop = ("last_login",)
    after = [{name: value for name, value in row.items() if name not in drop} for row in User.objects.values()]
    assert after == [{name: value for name, value in row.items() if name not in drop} for row in before]
    assert [group.name for group in dri.groups.all()] == [Role.DRI.value]


def test_a_subject_that_nobody_linked_is_told_what_to_say_and_its_name_and_mail_open_nothing(
    provider: IdentityProvider,
) -> None:
    user = person("dri", Role.DRI)
    user.email = "dri@example.com"
    user.save()
    client = Client()
    answer = through(client, provider)
    assert answer.status_code == 403
    assert NOT_LINKED in text_of(answer)
    assert provider.subject in text_of(answer)
    assert "manage.py sign_in link" in text_of(answer)
    assert not is_in(client)
    entry = newest("session.sign_in_failed")
    assert entry.subject == "a user that does not exist"
    wanted = {"step": "openid", "code": "openid_not_linked", "issuer": provider.issuer, "address": HOME}
    assert entry.facts == {**wanted, "subject": provider.subject}
    assert not AccessAttempt.objects.exists(), "there is no name to lock"


@pytest.mark.parametrize("field", ["is_active", "is_staff"])
def test_who_may_not_come_in_reads_the_same_page_as_a_stranger(
    provider: IdentityProvider, dri: Any, field: str
) -> None:
    setattr(dri, field, False)
    dri.save()
    client = Client()
    refused = through(client, provider)
    IdentityLink.objects.all().delete()
    assert refused.status_code == 403
    assert newest("session.sign_in_failed").subject == "user dri"
    assert refused.content == through(Client(), provider).content
    assert not is_in(client)


def test_a_link_of_another_issuer_or_subject_is_none(provider: IdentityProvider, dri: Any) -> None:
    IdentityLink.objects.update(issuer=f"{provider.issuer}/")
    assert through(Client(), provider).status_code == 403
    IdentityLink.objects.update(issuer=provider.issuer)
    stranger = Client()
    assert come_back(stranger, provider.sign_in(press(stranger), as_subject="4F1C2A90-SUBJECT")).status_code == 403
    assert through(Client(), provider).status_code == 302


def test_who_enrolled_a_factor_is_asked_for_its_code(provider: IdentityProvider, dri: Any, settings: Any) -> None:
    settings.SECOND_FACTOR = "optional"
    secret, _ = enrolled(dri)
    client = Client()
    answer = through(client, provider, onward="/admin/gates/")
    assert answer["Location"] == "/admin/login/code/?next=%2Fadmin%2Fgates%2F"
    assert not is_in(client)
    assert give_code(client, "000000").status_code == 200
    assert not is_in(client)
    give_code(client, code_of(secret))
    assert is_in(client)
    assert newest("session.signed_in").facts["by"] == "OpenID Connect and code"
    assert newest("session.signed_in").facts["subject"] == provider.subject


def test_an_answer_to_another_browsers_attempt_is_refused(provider: IdentityProvider, dri: Any) -> None:
    victim, thief = Client(), Client()
    place = provider.sign_in(press(thief))
    press(victim)
    for client in (victim, Client()):
        answer = come_back(client, place)
        assert answer.status_code == 400
        assert "begun in another browser" in text_of(answer)
        assert not is_in(client)
    assert newest("session.sign_in_failed").facts["code"] == "openid_attempt_unknown"
    assert AuditEntry.objects.filter(act="session.sign_in_failed").count() == 1, "a link on a page fills no log"
    assert f"{provider.issuer.partition('127.0.0.1')[2]}/token" not in " ".join(provider.asked)


def test_an_answer_is_good_once(provider: IdentityProvider, dri: Any) -> None:
    client = Client()
    place = provider.sign_in(press(client))
    assert come_back(client, place).status_code == 302
    assert come_back(client, place).status_code == 400
    client.post(reverse("admin:logout"))
    state = parse_qs(urlsplit(press(client)).query)["state"][0]  # the used code with a state that is new
    code = parse_qs(urlsplit(place).query)["code"][0]
    answer = come_back(client, f"{BACK}?{urlencode({'code': code, 'state': state})}")
    assert answer.status_code == 403
    assert newest("session.sign_in_failed").reason == "it did not take the code (400 invalid_grant)"
    assert not is_in(client)


def test_an_answer_that_comes_too_late_is_refused(
    provider: IdentityProvider, dri: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client()
    place = provider.sign_in(press(client))
    kept = client.session
    kept["console.openid.attempt"] = {**kept["console.openid.attempt"], "begun_at_us": 1}
    kept.save()
    assert come_back(client, place).status_code == 400
    assert not is_in(client)


def test_an_answer_of_another_issuer_is_refused(provider: IdentityProvider, dri: Any) -> None:
    client = Client()
    place = provider.sign_in(press(client))
    query = {name: values[0] for name, values in parse_qs(urlsplit(place).query).items()}
    mixed_up = f"{BACK}?{urlencode({**query, 'iss': 'https://evil.example.com'})}"
    assert come_back(client, mixed_up).status_code == 502
    provider.discovery = {"authorization_response_iss_parameter_supported": True}
    DISCOVERED.forget()
    place = provider.sign_in(press(client))
    assert come_back(client, place.partition("&iss=")[0]).status_code == 502
    assert not is_in(client)


def forged(make: Callable[[IdentityProvider, dict[str, Any]], str]) -> Callable[[IdentityProvider], None]:
    def spoil(provider: IdentityProvider) -> None:
        provider.make = lambda claims: make(provider, claims)

    return spoil


def claimed(**claims: Any) -> Callable[[IdentityProvider], None]:
    return lambda provider: provider.claims.update(claims)


def hs256(provider: IdentityProvider, claims: dict[str, Any]) -> str:
    """Signed with the public key as if it were a shared secret. PyJWT itself refuses to make this."""
    head = jwt.utils.base64url_encode(f'{{"alg":"HS256","kid":"{provider.key.kid}"}}'.encode())
    body = jwt.encode(claims, "x" * 32).split(".")[1].encode()
    key = provider.key.public_pem()
    mac = jwt.utils.base64url_encode(
        jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(head + b"." + body, key)
    )
    return b".".join((head, body, mac)).decode()


def unknown_key(provider: IdentityProvider, claims: dict[str, Any]) -> str:
    return jwt.encode(claims, SigningKey().private, algorithm="RS256", headers={"kid": provider.key.kid})


def no_such_kid(provider: IdentityProvider, claims: dict[str, Any]) -> str:
    return jwt.encode(claims, provider.key.private, algorithm="RS256", headers={"kid": "another"})


def altered(provider: IdentityProvider, claims: dict[str, Any]) -> str:
    head, _, signature = provider.signed({**claims, "sub": "somebody else"}).split(".")
    return ".".join((head, provider.signed(claims).split(".")[1], signature))


SPOILT = {
    "nonce of another attempt": claimed(nonce="n" * 43),
    "no nonce": claimed(nonce=None),
    "audience is another application": claimed(aud="another"),
    "party is another application": claimed(azp="another"),
    "several audiences and no party": claimed(aud=[CLIENT_ID, "another"]),
    "issuer is another": claimed(iss="https://evil.example.com"),
    "expired": claimed(exp=int(time.time()) - 120, iat=int(time.time()) - 420),
    "no expiry": claimed(exp=None),
    "of the future": claimed(iat=int(time.time()) + 600),
    "no subject": claimed(sub=None),
    "subject is no text": claimed(sub=7),
    "subject with a NUL": claimed(sub="a\x00b"),
    "subject too long": claimed(sub="s" * 256),
    "alg none": forged(lambda _, claims: jwt.encode(claims, "", algorithm="none")),
    "alg none with the key's name": forged(
        lambda provider, claims: jwt.encode(claims, "", algorithm="none", headers={"kid": provider.key.kid})
    ),
    "HS256 with the public key": forged(hs256),
    "HS256 with the client's secret": forged(lambda _, claims: jwt.encode(claims, CLIENT_SECRET.ljust(32, "x"))),
    "signed with another key": forged(unknown_key),
    "a key that the issuer has not": forged(no_such_kid),
    "claims altered": forged(altered),
    "no token at all": forged(lambda *_: "x.y.z"),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_token_that_does_not_prove_it_lets_nobody_in(provider: IdentityProvider, dri: Any, spoilt: str) -> None:
    SPOILT[spoilt](provider)
    client = Client()
    answer = through(client, provider)
    assert answer.status_code == 403
    assert NOT_BELIEVED in text_of(answer)
    assert not is_in(client)
    assert newest("session.sign_in_failed").facts["code"] == "openid_token_refused"


def test_a_new_key_of_the_issuer_counts_at_once_and_the_old_one_no_more(provider: IdentityProvider, dri: Any) -> None:
    first = Client()
    through(first, provider)
    old = provider.key
    provider.rotate()
    client = Client()
    through(client, provider)
    assert is_in(client)
    provider.make = lambda claims: jwt.encode(claims, old.private, algorithm="RS256", headers={"kid": old.kid})
    assert through(Client(), provider).status_code == 403


@pytest.mark.parametrize(
    "onward", ["https://evil.example.com/", "//evil.example.com", "/\\evil.example.com", "javascript:1"]
)
def test_it_leads_nowhere_else(provider: IdentityProvider, dri: Any, onward: str) -> None:
    assert through(Client(), provider, onward=onward)["Location"] == "/admin/"


def test_the_address_to_come_back_to_is_the_settings_whatever_the_request_says(
    provider: IdentityProvider, dri: Any, settings: Any
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    answer = Client().post(BEGIN, HTTP_HOST="evil.example.com", HTTP_X_FORWARDED_HOST="evil.example.com")
    assert "evil" not in answer.content.decode()


def test_the_button_takes_the_sites_own_forms_alone(provider: IdentityProvider) -> None:
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(BEGIN).status_code == 403
    assert strict.get(BEGIN).status_code == 405


def test_while_the_issuer_is_away_a_password_works_and_a_press_waits_for_nothing_twice(
    provider: IdentityProvider, dri: Any, settings: Any
) -> None:
    person("ops", Role.PLATFORM_OPS)
    provider.status = 503
    for _ in range(3):
        answer = Client().post(BEGIN)
        assert answer.status_code == 503
        assert "It does not answer now. Try again in a minute; a password works all the while." in text_of(answer)
    assert len(provider.asked) == 1
    settings.OIDC_ISSUER = "http://127.0.0.1:1"
    assert Client().post(BEGIN).status_code == 503
    assert is_in(by_password("ops"))


def test_an_issuer_that_hangs_holds_two_of_the_consoles_threads_at_most(
    provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    from console.sign_in.openid import issuer
    from console.sign_in.openid.errors import IssuerAway

    provider.hold = threading.Event()
    waiting = [threading.Thread(target=issuer._found, args=(provider.issuer,)) for _ in range(issuer.AT_ONCE_COUNT)]
    for each in waiting:
        each.start()
    deadline = time.monotonic() + 10
    while len(provider.asked) < len(waiting):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    found = issuer._found(provider.issuer)
    provider.hold.set()
    for each in waiting:
        each.join()
    assert isinstance(found, IssuerAway)
    assert str(found) == "others are being signed in just now"
    assert isinstance(issuer._found(provider.issuer), issuer.Issuer)


@pytest.mark.parametrize(
    "lie",
    [
        {"issuer": "https://evil.example.com"},
        {"token_endpoint": "http://id.example.com/token"},
        {"jwks_uri": "ftp://127.0.0.1/keys"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": None},
        {"token_endpoint_auth_methods_supported": ["private_key_jwt"]},
    ],
    ids=str,
)
def test_an_issuer_that_is_set_up_wrongly_is_not_gone_to(provider: IdentityProvider, lie: dict[str, Any]) -> None:
    provider.discovery = lie
    answer = Client().post(BEGIN)
    assert answer.status_code == 502
    assert "tell an operator" in text_of(answer)


def test_an_issuer_over_https_may_not_lead_to_this_machine() -> None:
    from console.sign_in.openid import issuer
    from console.sign_in.openid.errors import IssuerWrong

    told = {"token_endpoint": "http://127.0.0.1:6379/"}
    with pytest.raises(IssuerWrong, match="no https address"):
        issuer._address(told, "token_endpoint", issuer="https://id.example.com")
    assert issuer._address(told, "token_endpoint", issuer="http://localhost:1") == "http://127.0.0.1:6379/"


def test_no_secret_of_a_sign_in_is_in_the_log_the_audit_log_or_the_session(
    provider: IdentityProvider, dri: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    made: list[str] = []

    def kept(claims: dict[str, Any]) -> str:
        made.append(provider.signed(claims))
        return made[-1]

    provider.make = kept
    client, verifiers = Client(), []
    for claims in ({"nonce": "n" * 43}, {}):
        provider.claims = claims
        address = press(client)
        verifiers.append(client.session["console.openid.attempt"]["verifier"])
        place = provider.sign_in(address)
        come_back(client, place)
        code = parse_qs(urlsplit(place).query)["code"][0]
        entries = [f"{entry.facts} {entry.reason}" for entry in AuditEntry.objects.all()]
        written = f"{caplog.text} {[record.__dict__ for record in caplog.records]} {entries} {client.session.items()}"
        for secret in (CLIENT_SECRET, code, verifiers[-1], made[-1]):
            assert secret not in written
    assert is_in(client)
    assert len(made) == 2


def told_by_process(script: str, **environ: str) -> Any:
    """What a process of its own prints, which was started with the settings of OpenID Connect."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"import django, json, sys; django.setup(); {script}"],
        cwd=PROJECT,
        env={**os.environ, **SET_UP, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


def test_nothing_of_it_is_loaded_by_the_ingress() -> None:
    script = (
        "import autocom.ingress.application, autocom.ingress_urls;"
        "print(json.dumps([m for m in sys.modules if m.startswith(('jwt', 'allauth', 'console.sign_in'))]))"
    )
    assert told_by_process(script, AUTOCOM_PROCESS="ingress") == []


def test_the_environment_sets_it_up_and_the_issuers_host_is_the_buttons_name() -> None:
    script = (
        "from django.conf import settings; from console.sign_in.openid.attempt import back_to;"
        "print(json.dumps([settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_NAME, back_to()]))"
    )
    back = f"https://autocom.example.com{BACK}"
    assert told_by_process(script) == ["https://id.example.com", "autocom", "id.example.com", back]


def test_without_an_issuer_there_is_no_button_and_no_route(client: Client) -> None:
    assert "Sign in with" not in text_of(client.get(LOGIN))
    assert client.post(BEGIN).status_code == 404
    assert client.get(f"{BACK}?state=x&code=y").status_code == 404


def test_the_command_links_lists_and_unlinks_one_person_a_subject(
    provider: IdentityProvider, dri: Any, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    person("ops", Role.PLATFORM_OPS)
    capsys.readouterr()
    assert sign_in("link", "ops", "--subject", provider.subject) == 1
    assert "this subject is dri here: unlink it first" in capsys.readouterr().err
    assert sign_in("link", "dri", "--subject", provider.subject) == 0
    assert capsys.readouterr().out == "dri was linked before\n"
    assert sign_in("link", "dri", "--subject", "a\nb") == 1
    assert sign_in("link", "nobody-at-all", "--subject", "x") == 2
    capsys.readouterr()
    assert sign_in("links") == 0
    assert capsys.readouterr().out == f"dri  {provider.subject}  at {provider.issuer}  last used never\n"
    assert sign_in("links", "ops", "--json") == 0
    assert '"links": []' in capsys.readouterr().out
    assert sign_in("unlink", "dri", "--subject", "another") == 0
    assert sign_in("unlink", "dri", "--by", "olga") == 0
    assert capsys.readouterr().out == "0 unlinked\n1 unlinked\n"
    assert acts("identity.unlinked") == [("identity.unlinked", "os:olga", "user dri")]
    assert through(Client(), provider).status_code == 403
    settings.OIDC_ISSUER = ""
    assert sign_in("link", "dri", "--subject", "x") == 1
    assert "OIDC_ISSUER" in capsys.readouterr().err


AGAIN = "/admin/openid-again/"
GATE = "/admin/gates/a/"


@pytest.fixture
def decider(provider: IdentityProvider, dri: Any) -> Client:
    """The DRI of gate a, who came in by the issuer."""
    assign(frozen_gate(), username="dri", actor=Actor.command_line("olga"), reason="owns the launch")
    client = Client()
    through(client, provider)
    return client


def no_go(client: Client, **form: str) -> str:
    answer = client.post(GATE, {"act": "no-go", "reason": "not yet", "password": "", **form}, follow=True)
    return " ".join(str(each) for each in answer.context["messages"])


def test_who_has_no_password_decides_after_a_fresh_sign_in_there_once(
    provider: IdentityProvider, decider: Client, dri: Any
) -> None:
    assert "the password is wrong" in no_go(decider)
    page = text_of(decider.get(GATE))
    assert "Sign in at Example ID again" in page
    answer = through(decider, provider, onward=GATE, address=AGAIN)
    assert answer["Location"] == GATE
    asked = provider.authorizations[-1]
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")
    assert "this stands once for your password" in text_of(decider.get(GATE))
    assert "NO-GO: audit entry" in no_go(decider)
    assert "the password is wrong" in no_go(decider)
    assert Decision.objects.count() == 1
    entry = newest("identity.proven")
    assert (entry.actor, entry.facts["subject"]) == ("dri", provider.subject)


def test_a_wrong_password_is_not_made_right_by_it_and_the_code_is_asked_for_as_ever(
    provider: IdentityProvider, decider: Client, dri: Any, settings: Any
) -> None:
    settings.SECOND_FACTOR = "deciders"
    through(decider, provider, address=AGAIN)
    assert "the password is wrong" in no_go(decider, password="a guess")
    assert "takes a second factor here" in no_go(decider)
    secret, _ = enrolled(dri)
    through(decider, provider, address=AGAIN)
    assert "second factor: the code is wrong" in no_go(decider, code="000000")
    through(decider, provider, address=AGAIN)
    assert "NO-GO: audit entry" in no_go(decider, code=code_of(secret))


@pytest.mark.parametrize(
    "claims", [{"auth_time": int(time.time()) - 600}, {"auth_time": None}, {"auth_time": "now"}], ids=str
)
def test_an_old_sign_in_there_decides_nothing(provider: IdentityProvider, decider: Client, claims: Any) -> None:
    provider.claims = claims
    answer = through(decider, provider, address=AGAIN)
    assert answer.status_code == 403
    assert "the password is wrong" in no_go(decider)
    assert not Decision.objects.exists()


def test_somebody_else_there_vouches_for_nobody_here_and_signs_nobody_in(
    provider: IdentityProvider, decider: Client
) -> None:
    person("ops", Role.PLATFORM_OPS)
    sign_in("link", "ops", "--subject", "another-subject")
    for subject in ("another-subject", "a stranger"):
        answer = come_back(decider, provider.sign_in(press(decider, address=AGAIN), as_subject=subject))
        assert answer.status_code == 403
        assert "as somebody else than you are here" in text_of(answer)
    assert decider.get("/admin/my-sessions/").context["user"].get_username() == "dri"
    rows = AuditEntry.objects.filter(act="session.sign_in_failed", facts__code="openid_somebody_else")
    assert sorted(row.subject for row in rows) == ["a user that does not exist", "user ops"]
    assert "the password is wrong" in no_go(decider)


def test_a_plain_sign_in_and_a_proof_of_before_decide_nothing(provider: IdentityProvider, decider: Client) -> None:
    through(decider, provider)
    assert "the password is wrong" in no_go(decider)
    through(decider, provider, address=AGAIN)
    kept = decider.session
    kept["console.openid.proof"] = {
        **kept["console.openid.proof"],
        "at_us": kept["console.openid.proof"]["at_us"] - 301_000_000,
    }
    kept.save()
    assert "the password is wrong" in no_go(decider)
    assert not Decision.objects.exists()


def test_a_factor_is_enrolled_after_a_fresh_sign_in_there(
    provider: IdentityProvider, decider: Client, settings: Any
) -> None:
    settings.SECOND_FACTOR = "optional"
    factor_page = "/admin/second-factor/"
    assert "the password is wrong" in text_of(decider.post(factor_page, {"act": "begin", "password": ""}, follow=True))
    through(decider, provider, address=AGAIN)
    assert "Scan, then type" in text_of(decider.post(factor_page, {"act": "begin", "password": ""}, follow=True))


def test_who_is_not_signed_in_can_prove_nothing(provider: IdentityProvider) -> None:
    assert Client().post(AGAIN)["Location"].startswith(LOGIN)
