"""Providers and their secrets change by verbs: one transaction, nothing half done, each refusal says what is right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.db import connection
from django.test import override_settings

from autocom.kernel.clock import us_of
from ingestion.models import Provider, ProviderSecret
from ingestion.provider_book import ProviderBook
from ingestion.provider_changes import errors
from ingestion.provider_changes.add import AddedProvider, add_provider
from ingestion.provider_changes.rekey import rekey_secrets
from ingestion.provider_changes.revoke import revoke_secret
from ingestion.provider_changes.rotate import rotate_secret
from ingestion.provider_changes.switch import switch_provider
from ingestion.provider_states import provider_states
from ingestion.providers.registry import ADAPTERS
from ingestion.secret_box import SecretUnreadable, unseal

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
SES_OPTIONS = {"topic_arns": ["arn:aws:sns:eu-west-1:123456789012:ses-events"]}
PUBLIC_KEY_SCHEMES = {"sendgrid", "ses"}
MALFORMED = "zq9"  # for every scheme


def added(name: str = "acme", *, scheme: str = "generic", secret: str | None = None) -> AddedProvider:
    return add_provider(name=name, scheme=scheme, options={}, secret=secret, now=NOW)


def value_of(fingerprint: str) -> str:
    return unseal(ProviderSecret.objects.get(fingerprint=fingerprint).ciphertext)


def valid_at(name: str, moment: datetime) -> set[str]:
    """Fingerprints that a freshly read book verifies with."""
    book = ProviderBook()
    book.refresh()
    provider = book.named(name)
    assert provider is not None
    return {secret.fingerprint for secret in provider.secrets_at(us_of(moment))}


def public_key_text() -> str:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize("scheme", sorted(set(ADAPTERS) - PUBLIC_KEY_SCHEMES))
def test_every_symmetric_scheme_gets_a_random_secret_of_its_form(scheme: str) -> None:
    one, other = (added(name, scheme=scheme).secret for name in ("one", "other"))
    assert one.generated is not None
    assert one.generated != other.generated
    ADAPTERS[scheme].check_secret(one.generated)
    assert value_of(one.fingerprint) == one.generated
    assert one.generated not in repr(one)
    assert valid_at("one", NOW) == {one.fingerprint}


@pytest.mark.parametrize("scheme", sorted(PUBLIC_KEY_SCHEMES))
def test_a_public_key_scheme_has_nothing_to_generate_and_says_what_it_takes(scheme: str) -> None:
    options = SES_OPTIONS if scheme == "ses" else {}
    with pytest.raises(errors.SettingRefused, match="public key"):
        add_provider(name="acme", scheme=scheme, options=options, secret=None, now=NOW)
    assert not Provider.objects.filter(name="acme").exists()


def test_a_public_key_is_stored_as_it_was_given() -> None:
    key = public_key_text()
    secret = added(scheme="sendgrid", secret=key).secret
    assert secret.generated is None
    assert value_of(secret.fingerprint) == key.strip()


@pytest.mark.parametrize("scheme", sorted(ADAPTERS))
def test_a_malformed_secret_is_refused_with_a_right_ones_form_and_without_itself(scheme: str) -> None:
    options = SES_OPTIONS if scheme == "ses" else {}
    with pytest.raises(errors.SettingRefused) as refused:
        add_provider(name="acme", scheme=scheme, options=options, secret=MALFORMED, now=NOW)
    assert ADAPTERS[scheme].SECRET_FORM[:20] in str(refused.value)
    assert MALFORMED not in str(refused.value)
    assert not Provider.objects.filter(name="acme").exists()


WRONG: list[tuple[dict[str, Any], type[errors.ProviderChangeRefused], str]] = [
    ({"scheme": "nonsense"}, errors.SettingRefused, "known are brevo, generic"),
    ({"name": "a b"}, errors.SettingRefused, "letters, digits"),
    ({"name": "x" * 65}, errors.SettingRefused, "1 to 64"),
    ({"options": {"policy": "nonsense"}}, errors.SettingRefused, "policy is both, bearer or signature"),
    ({"secret": "  \n"}, errors.SettingRefused, "is empty"),
    ({"name": "default"}, errors.EnvironmentOnly, "WEBHOOK_HMAC_SECRET"),
    ({"name": "taken"}, errors.ProviderTaken, "provider rotate taken"),
]


@pytest.mark.parametrize(("change", "error", "says"), WRONG)
def test_what_cannot_be_added_is_refused_with_what_would_be_right(
    change: dict[str, Any], error: type[errors.ProviderChangeRefused], says: str
) -> None:
    added("taken")
    given: dict[str, Any] = {"name": "acme", "scheme": "generic", "options": {}, "secret": None, "now": NOW}
    with pytest.raises(error, match=says):
        add_provider(**(given | change))
    assert list(Provider.objects.values_list("name", flat=True)) == ["taken"]


def test_a_rotation_leaves_both_valid_for_the_overlap_and_then_only_the_new_one() -> None:
    old = added().secret.fingerprint
    rotated = rotate_secret(name="acme", secret=None, now=NOW, overlap=timedelta(hours=2))
    new = rotated.secret.fingerprint
    assert [(each.fingerprint, each.not_after) for each in rotated.ending] == [(old, NOW + timedelta(hours=2))]
    assert valid_at("acme", NOW + timedelta(minutes=119)) == {old, new}
    assert valid_at("acme", NOW + timedelta(hours=2)) == {new}


def test_the_overlap_is_24_hours_unless_said_otherwise_and_counts_from_the_new_secrets_begin() -> None:
    old = added().secret.fingerprint
    begin = NOW + timedelta(days=3)
    new = rotate_secret(name="acme", secret=None, now=NOW, not_before=begin).secret.fingerprint
    assert valid_at("acme", begin - timedelta(seconds=1)) == {old}
    assert valid_at("acme", begin + timedelta(hours=23, minutes=59)) == {old, new}
    assert valid_at("acme", begin + timedelta(hours=24)) == {new}


def test_a_second_rotation_never_lengthens_the_life_of_the_first_secret() -> None:
    first = added().secret.fingerprint
    rotate_secret(name="acme", secret=None, now=NOW, overlap=timedelta(hours=1))
    again = rotate_secret(name="acme", secret=None, now=NOW + timedelta(minutes=30), overlap=timedelta(hours=24))
    assert {each.fingerprint: each.not_after for each in again.ending}[first] == NOW + timedelta(hours=1)
    assert len(valid_at("acme", NOW + timedelta(minutes=59))) == 3


def test_a_rotation_refuses_a_secret_that_the_provider_had_and_changes_nothing() -> None:
    secret = "s" * 32
    old = added(secret=secret).secret.fingerprint
    with pytest.raises(errors.SecretKnown, match=old):
        rotate_secret(name="acme", secret=f"{secret}\n", now=NOW)
    assert ProviderSecret.objects.get().not_after is None


def test_a_rotation_of_mailguns_basic_credentials_does_not_end_its_signing_key() -> None:
    key = added(scheme="mailgun").secret.fingerprint
    rotate_secret(name="acme", secret="basic:user:0123456789abcdef", now=NOW)
    rotate_secret(name="acme", secret="basic:user:fedcba9876543210", now=NOW, overlap=timedelta(0))
    assert key in valid_at("acme", NOW + timedelta(days=2))
    assert len(valid_at("acme", NOW + timedelta(days=2))) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"overlap": timedelta(seconds=-1)},
        {"not_after": NOW},
        {"not_before": NOW + timedelta(days=2), "not_after": NOW + timedelta(days=1)},
    ],
)
def test_a_rotation_to_a_secret_that_is_never_valid_is_refused(change: dict[str, Any]) -> None:
    added()
    with pytest.raises(errors.SettingRefused):
        rotate_secret(name="acme", secret=None, now=NOW, **change)
    assert ProviderSecret.objects.count() == 1


def test_a_revoked_secret_verifies_nothing_any_more_and_its_row_stays() -> None:
    old = added().secret.fingerprint
    new = rotate_secret(name="acme", secret=None, now=NOW).secret.fingerprint
    later = NOW + timedelta(minutes=1)
    revoke_secret(name="acme", fingerprint=old, force=False, now=later)
    assert valid_at("acme", later) == {new}
    assert ProviderSecret.objects.filter(fingerprint=old, not_after=later).exists()
    with pytest.raises(errors.SecretEnded, match="2026-12-01 12:01:00"):
        revoke_secret(name="acme", fingerprint=old, force=True, now=later + timedelta(seconds=1))


def test_a_secret_in_use_is_not_revoked_unless_forced_and_the_refusal_says_when_it_was_used() -> None:
    old = added().secret.fingerprint
    rotate_secret(name="acme", secret=None, now=NOW)
    ProviderSecret.objects.filter(fingerprint=old).update(last_used_at=NOW - timedelta(hours=23, minutes=59))
    with pytest.raises(errors.SecretNeeded, match="last used at 2026-11-30 12:01:00 UTC"):
        revoke_secret(name="acme", fingerprint=old, force=False, now=NOW)
    assert old in valid_at("acme", NOW)
    revoke_secret(name="acme", fingerprint=old, force=True, now=NOW)
    assert old not in valid_at("acme", NOW)


def test_a_secret_that_was_quiet_for_24_hours_is_revoked_without_force() -> None:
    old = added().secret.fingerprint
    rotate_secret(name="acme", secret=None, now=NOW)
    ProviderSecret.objects.filter(fingerprint=old).update(last_used_at=NOW - timedelta(hours=24))
    assert revoke_secret(name="acme", fingerprint=old, force=False, now=NOW).last_used_at is not None


def test_the_last_valid_secret_is_not_revoked_unless_forced_even_beside_one_that_is_not_valid_yet() -> None:
    old = added().secret.fingerprint
    rotate_secret(name="acme", secret=None, now=NOW, not_before=NOW + timedelta(days=1))
    with pytest.raises(errors.SecretNeeded, match="last valid one"):
        revoke_secret(name="acme", fingerprint=old, force=False, now=NOW)
    revoke_secret(name="acme", fingerprint=old, force=True, now=NOW)
    assert valid_at("acme", NOW) == set()


def test_basic_credentials_are_no_replacement_for_mailguns_last_signing_key() -> None:
    key = added(scheme="mailgun").secret.fingerprint
    rotate_secret(name="acme", secret="basic:user:0123456789abcdef", now=NOW)
    with pytest.raises(errors.SecretNeeded, match="last valid one"):
        revoke_secret(name="acme", fingerprint=key, force=False, now=NOW)


def test_an_unknown_fingerprint_is_refused_with_those_that_are_there() -> None:
    known = added().secret.fingerprint
    with pytest.raises(errors.SecretMissing, match=known):
        revoke_secret(name="acme", fingerprint="00000000", force=True, now=NOW)


def test_default_says_that_its_secrets_are_the_environments_but_can_be_switched() -> None:
    for change in (
        lambda: rotate_secret(name="default", secret=None, now=NOW),
        lambda: revoke_secret(name="default", fingerprint="00000000", force=True, now=NOW),
    ):
        with pytest.raises(errors.EnvironmentOnly, match="WEBHOOK_HMAC_SECRET"):
            change()
    assert switch_provider(name="default", enabled=False)
    assert not switch_provider(name="default", enabled=False)
    book = ProviderBook()
    book.refresh()
    default = book.named("default")
    assert default is not None
    assert not default.enabled


def test_each_change_is_seen_by_a_running_ingress_and_a_use_is_not() -> None:
    book = ProviderBook()
    book.refresh()

    def is_seen() -> bool:
        seen = book.refresh()
        assert not book.refresh()
        return seen

    old = added().secret.fingerprint
    assert is_seen()
    rotate_secret(name="acme", secret=None, now=NOW, not_after=NOW + timedelta(days=9))
    assert is_seen()
    ProviderSecret.objects.update(last_used_at=NOW - timedelta(days=2))
    assert not is_seen()
    revoke_secret(name="acme", fingerprint=old, force=False, now=NOW)
    assert is_seen()
    switch_provider(name="acme", enabled=False)
    assert is_seen()
    Provider.objects.get(name="acme").save()  # as the console's form does for options
    assert is_seen()
    with override_settings(SECRET_KEY="n" * 40, SECRET_KEY_FALLBACKS=[settings_key()]):
        rekey_secrets()
        assert is_seen()
        rekey_secrets()
        assert not is_seen()


def test_a_change_that_becomes_visible_after_a_newer_one_is_seen_too() -> None:
    """Two transactions at once: the one that began first may commit last, with the older time."""
    added("first")
    added("second")
    book = ProviderBook()
    book.refresh()
    Provider.objects.filter(name="first").update(updated_at=Provider.objects.get(name="first").updated_at)
    assert not book.refresh()
    older = Provider.objects.get(name="second").updated_at - timedelta(microseconds=1)
    Provider.objects.filter(name="first").update(updated_at=older)
    assert book.refresh()


def settings_key() -> str:
    from django.conf import settings

    return str(settings.SECRET_KEY)


def test_rekey_moves_every_secret_to_the_newest_key_and_can_run_again() -> None:
    values = {name: added(name).secret.generated for name in ("one", "two")}
    with override_settings(SECRET_KEY="n" * 40, SECRET_KEY_FALLBACKS=[settings_key()]):
        added("three")
        report = rekey_secrets()
        assert (report.rekeyed_count, report.current_count, report.unreadable) == (2, 1, ())
        again = rekey_secrets()
        assert (again.rekeyed_count, again.current_count) == (0, 3)
    with override_settings(SECRET_KEY="n" * 40, SECRET_KEY_FALLBACKS=[]):
        for name, value in values.items():
            assert unseal(ProviderSecret.objects.get(provider__name=name).ciphertext) == value


def test_a_key_of_its_own_takes_the_stored_secrets_over_and_rotates_apart_from_secret_key() -> None:
    first, second = "p" * 40, "q" * 40
    value = added().secret.generated
    with override_settings(PROVIDER_SECRETS_KEYS=[first]):
        assert rekey_secrets().rekeyed_count == 1
    with override_settings(PROVIDER_SECRETS_KEYS=[second, first]):
        assert rekey_secrets().rekeyed_count == 1
    with override_settings(PROVIDER_SECRETS_KEYS=[second], SECRET_KEY="n" * 40):
        assert unseal(ProviderSecret.objects.get().ciphertext) == value
    with pytest.raises(SecretUnreadable):
        unseal(ProviderSecret.objects.get().ciphertext)


def test_rekey_names_what_opens_with_no_key_and_moves_the_rest() -> None:
    added("fine")
    lost = added("lost").secret.fingerprint
    ProviderSecret.objects.filter(fingerprint=lost).update(ciphertext=b"sealed elsewhere")
    with override_settings(SECRET_KEY="n" * 40, SECRET_KEY_FALLBACKS=[settings_key()]):
        report = rekey_secrets()
        assert (report.rekeyed_count, report.unreadable) == (1, (f"lost …{lost}",))
        with pytest.raises(SecretUnreadable):
            value_of(lost)


def test_a_secret_that_does_not_open_leaves_its_provider_with_the_others(caplog: pytest.LogCaptureFixture) -> None:
    lost = added().secret.fingerprint
    kept = rotate_secret(name="acme", secret=None, now=NOW).secret.fingerprint
    ProviderSecret.objects.filter(fingerprint=lost).update(ciphertext=b"sealed elsewhere")
    assert valid_at("acme", NOW) == {kept}
    assert lost in [getattr(record, "fingerprint", "") for record in caplog.records]
    (acme,) = (state for state in provider_states(now=NOW) if state.name == "acme")
    assert {secret.fingerprint: str(secret.phase) for secret in acme.secrets} == {kept: "valid", lost: "unreadable"}


def test_the_stored_secret_is_in_no_column_of_any_table() -> None:
    value = added().secret.generated
    assert value is not None
    rotate_secret(name="acme", secret=None, now=NOW)
    with connection.cursor() as cursor:
        for table in ("ingestion_provider", "ingestion_providersecret"):
            cursor.execute(f"SELECT t::text FROM {table} t")  # noqa: S608  (two fixed names)
            text = str(cursor.fetchall())
            assert value not in text
            assert value.encode().hex() not in text
