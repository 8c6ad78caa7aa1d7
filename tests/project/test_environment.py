"""The environment: what is taken, what is refused, and that a refusal names the variable and shows no secret."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autocom.environment import Environment
from autocom.first_run import prepare_first_run
from autocom.kernel.cosignature import WitnessKey
from autocom.kernel.errors import ConfigurationError
from autocom.kernel.signed_note import NoteKey
from autocom.kernel.signing_keys import new_signing_key
from autocom.local_servers import addresses
from autocom.mail_server import MailServer, mail_server_of

SIGNING_KEY = new_signing_key().strip()
WITNESS = WitnessKey("auditor.example.com/w1", bytes(range(32))).vkey
PROJECT = Path(__file__).resolve().parents[2]
SECRETS = {
    "SECRET_KEY": "k9" * 20,
    "WEBHOOK_BEARER_KEY": "b7" * 20,
    "WEBHOOK_HMAC_SECRET": "h5" * 20,
}


@pytest.fixture
def base(tmp_path: Path) -> dict[str, str]:
    return {**SECRETS, "AUTOCOM_DATA_DIR": str(tmp_path)}


def mistakes(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        Environment.from_environ(environ)
    return str(refused.value).splitlines()


def test_three_secrets_are_enough_and_the_servers_are_then_local(base: dict[str, str], tmp_path: Path) -> None:
    environment = Environment.from_environ(base)
    assert environment.db_is_local
    assert environment.redis_is_local
    assert environment.is_local
    assert environment.db_url == addresses.db_url(tmp_path)
    assert environment.redis_url == addresses.redis_url(tmp_path)
    assert (environment.console_port, environment.ingress_port, environment.lanes) == (8000, 8001, 4)
    assert environment.evidence_root == tmp_path / "evidence"
    assert (environment.sentry_dsn, environment.app_base_url, environment.debug) == ("", "", False)


OIDC = {"OIDC_ISSUER": "https://id.example.com", "OIDC_CLIENT_ID": "console", "OIDC_CLIENT_SECRET": "c7" * 20}
GIVEN = {
    "SECRET_KEY": ("a2" * 20, "secret_key", "a2" * 20),
    "SECRET_KEY_FALLBACKS": (f"{'a5' * 20}, {'a6' * 20}", "secret_key_fallbacks", ("a5" * 20, "a6" * 20)),
    "PROVIDER_SECRETS_KEYS": ("a7" * 20, "provider_secrets_keys", ("a7" * 20,)),
    "WEBHOOK_BEARER_KEY": ("a3" * 20, "webhook_bearer_key", "a3" * 20),
    "WEBHOOK_HMAC_SECRET": ("a4" * 20, "webhook_hmac_secret", "a4" * 20),
    "LOG_SIGNING_KEY": (SIGNING_KEY, "log_signing_key", SIGNING_KEY),
    "LOG_NAME": ("autocom.example.com/log", "log_name", "autocom.example.com/log"),
    "WITNESS_KEYS": (f"{WITNESS}, {WITNESS}", "witness_keys", (WITNESS, WITNESS)),
    "DB_URL": ("postgresql://db.example.com/x", "db_url", "postgresql://db.example.com/x"),
    "REDIS_URL": ("rediss://redis.example.com/1", "redis_url", "rediss://redis.example.com/1"),
    "SENTRY_DSN": ("https://key@sentry.example.com/1", "sentry_dsn", "https://key@sentry.example.com/1"),
    "SENTRY_ENVIRONMENT": ("staging", "sentry_environment", "staging"),
    "SENTRY_RELEASE": ("1.2.3", "sentry_release", "1.2.3"),
    "SENTRY_TRACES_SAMPLE_RATE": ("0.25", "sentry_traces_share", 0.25),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("http://127.0.0.1:4318", "otel_endpoint", "http://127.0.0.1:4318"),
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": (
        "https://x.example.com/t",
        "otel_traces_endpoint",
        "https://x.example.com/t",
    ),
    "OTEL_EXPORTER_OTLP_HEADERS": ("authorization=Bearer%20x", "otel_headers", "authorization=Bearer%20x"),
    "OTEL_TRACES_SAMPLER_ARG": ("0.5", "otel_share", 0.5),
    "OTEL_SDK_DISABLED": ("true", "otel_is_disabled", True),
    "OTEL_IN_OBSERVER": ("1", "otel_in_observer", True),
    "APP_BASE_URL": ("https://autocom.example.com", "app_base_url", "https://autocom.example.com"),
    "EMAIL_URL": (
        "smtps://autocom:p%40ss@mail.example.com?from=autocom@example.com",
        "email_url",
        "smtps://autocom:p%40ss@mail.example.com?from=autocom@example.com",
    ),
    "EVIDENCE_ROOT": ("/srv/evidence", "evidence_root", Path("/srv/evidence")),
    "EVIDENCE_ENDPOINT_TOKEN": ("acst_1_a9a9a9a9", "evidence_endpoint_token", "acst_1_a9a9a9a9"),
    "SENTRY_IN_OBSERVER": ("yes", "sentry_in_observer", True),
    "EVIDENCE_ENDPOINT": ("https://evidence.example.com", "evidence_endpoint", "https://evidence.example.com"),
    "API_RATE_LIMIT": ("50", "api_rate_limit_per_minute", 50),
    "EVIDENCE_LIMIT_BYTES": ("1048576", "evidence_limit_bytes", 1_048_576),
    "EVIDENCE_QUOTA_BYTES": ("7", "evidence_quota_bytes", 7),
    "EVIDENCE_STORE_URL": ("s3://kept/autocom?region=eu-1", "evidence_store_url", "s3://kept/autocom?region=eu-1"),
    "CONSOLE_PORT": ("9000", "console_port", 9000),
    "INGRESS_PORT": ("9001", "ingress_port", 9001),
    "INGRESS_HOST": ("0.0.0.0", "ingress_host", "0.0.0.0"),
    "INGRESS_WORKERS": ("3", "ingress_workers", 3),
    "WORKERS_MIN": ("3", "workers_min", 3),
    "WORKERS_MAX": ("9", "workers_max", 9),
    "COMMIT_LAG_TARGET_MS": ("500", "commit_lag_target_ms", 500),
    "LANES": ("16", "lanes", 16),
    "LANE_BOUND": ("500", "lane_bound_count", 500),
    "LANE_BOUND_BYTES": ("70000", "lane_bound_bytes", 70_000),
    "SEEN_BOUND": ("2000", "seen_bound_count", 2_000),
    "BODY_LIMIT_BYTES": ("2000000", "body_limit_bytes", 2_000_000),
    "RETENTION_BODY_DAYS": ("7", "retention_body_days", 7),
    "RETENTION_EVENT_DAYS": ("400", "retention_event_days", 400),
    "RETENTION_IDENTITY_DAYS": ("900", "retention_identity_days", 900),
    "RETENTION_FIGURES_DAYS": ("35", "retention_figures_days", 35),
    "CONSOLE_PROXIES": ("2", "console_proxies", 2),
    "SECOND_FACTOR": ("deciders", "second_factor", "deciders"),
    "SESSION_HOURS": ("8", "session_hours", 8),
    "SESSION_IDLE_MINUTES": ("30", "session_idle_minutes", 30),
    "OIDC_ISSUER": ("https://id.example.com/realms/ours", "oidc_issuer", "https://id.example.com/realms/ours"),
    "OIDC_CLIENT_ID": ("autocom", "oidc_client_id", "autocom"),
    "OIDC_CLIENT_SECRET": ("c8" * 20, "oidc_client_secret", "c8" * 20),
    "OIDC_NAME": ("Example ID", "oidc_name", "Example ID"),
    "ALLOW_PRIVATE_DESTINATIONS": ("true", "allow_private_destinations", True),
    "DEBUG": ("true", "debug", True),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_value_is_taken_from_its_variable_and_from_its_file(base: dict[str, str], name: str, tmp_path: Path) -> None:
    text, attribute, expected = GIVEN[name]
    if name.startswith("OIDC_"):
        base |= OIDC | {"APP_BASE_URL": "https://autocom.example.com"}
    assert getattr(Environment.from_environ({**base, name: text}), attribute) == expected
    file = tmp_path / "value"
    file.write_text(f"{text}\n")
    without = {key: value for key, value in base.items() if key != name}
    assert getattr(Environment.from_environ({**without, f"{name}_FILE": str(file)}), attribute) == expected


def test_each_variable_but_the_data_directory_is_among_those_tried_here() -> None:
    assert variables_read() == set(GIVEN) | {"AUTOCOM_DATA_DIR"}


def test_a_key_of_a_log_is_no_key_of_a_witness(base: dict[str, str]) -> None:
    vkey = NoteKey("auditor.example.com/w1", bytes(range(32))).vkey
    (told,) = mistakes({**base, "WITNESS_KEYS": vkey})
    assert told.startswith("WITNESS_KEYS: ")
    assert "is no key of a witness: it is name+hash+base64, of the type 0x04" in told


@pytest.mark.parametrize("name", SECRETS)
def test_a_missing_secret_is_one_line_that_names_it(base: dict[str, str], name: str) -> None:
    del base[name]
    assert mistakes(base) == [f"{name} is not set: give it a value, or a file with the value as {name}_FILE"]


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("value", ["tooshort0123", "changeme-0123456789-0123456789", "Insecure-0123456789-0123456789"])
def test_a_weak_secret_is_refused_without_being_shown(base: dict[str, str], name: str, value: str) -> None:
    lines = mistakes({**base, name: value})
    assert len(lines) == 1
    assert lines[0].startswith(f"{name} ")
    assert value not in lines[0]


WRONG = [
    ("DB_URL", "mysql://user:hunter2hunter2@db/x", "postgresql://"),
    ("REDIS_URL", "http://user:hunter2hunter2@redis", "redis://"),
    ("SENTRY_DSN", "hunter2hunter2", "https://"),
    ("APP_BASE_URL", "autocom.example.com", "https://"),
    ("APP_BASE_URL", "https://", "no host"),
    ("EVIDENCE_ENDPOINT", "ftp://evidence", "https://"),
    ("EMAIL_URL", "hunter2hunter2", "smtp://USER"),
    ("EMAIL_URL", "http://u:hunter2hunter2@mail.example.com?from=a@example.com", "smtp://USER"),
    ("EMAIL_URL", "smtp://u:hunter2hunter2@mail.example.com:port?from=a@example.com", "smtp://USER"),
    ("EMAIL_URL", "smtp://u:hunter2hunter2@mail.example.com/x?from=a@example.com", "smtp://USER"),
    ("EMAIL_URL", "smtp://:hunter2hunter2@mail.example.com?from=a@example.com", "give both"),
    ("EMAIL_URL", "smtp://u:hunter2hunter2%0a@mail.example.com?from=a@example.com", "copy it anew"),
    ("EMAIL_URL", "smtp://u:hunter2hunter2@mail.example.com", "add ?from="),
    ("EMAIL_URL", "smtp://u:p@mail.example.com?tls=hunter2hunter2", "from=ADDRESS alone"),
    ("EMAIL_URL", "smtp://u:p@mail.example.com?from=hunter2hunter2", "no address of mail"),
    ("EMAIL_URL", "smtp://u:p@mail.example.com?from=a%0aTo:%20b@example.com", "no address of mail"),
    ("EVIDENCE_LIMIT_BYTES", "1048575", "from 1048576"),
    ("EVIDENCE_STORE_URL", "https://hunter2hunter2.example.com", "s3://bucket"),
    ("EVIDENCE_STORE_URL", "s3://", "s3://bucket"),
    ("EVIDENCE_STORE_URL", "s3://key:hunter2hunter2@kept", "AWS_SECRET_ACCESS_KEY"),
    ("EVIDENCE_STORE_URL", "s3://kept?secret=hunter2hunter2", "endpoint"),
    ("EVIDENCE_STORE_URL", "s3://kept/../hunter2hunter2", "part .."),
    ("EVIDENCE_STORE_URL", "s3://[hunter2hunter2", "no URL"),
    ("EVIDENCE_ENDPOINT", "https://", "scheme, host and path alone"),
    ("EVIDENCE_ENDPOINT", "https://user:hunter2hunter2@evidence.example.com", "scheme, host and path alone"),
    ("EVIDENCE_ENDPOINT", "https://evidence.example.com/?key=hunter2hunter2", "scheme, host and path alone"),
    ("EVIDENCE_ENDPOINT", "https://evidence.example.com:port/", "scheme, host and path alone"),
    ("EVIDENCE_ENDPOINT_TOKEN", "hunter2hunter2 \n x", "copy it anew"),
    ("SENTRY_IN_OBSERVER", "perhaps", "true or false"),
    ("SENTRY_TRACES_SAMPLE_RATE", "1.5", "from 0 (none) to 1 (all)"),
    ("OTEL_TRACES_SAMPLER_ARG", "many", "from 0 (none) to 1 (all)"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "https://"),
    ("SECRET_KEY_FALLBACKS", f"{'a5' * 20},hunter2hunter2", "at least 24 characters"),
    ("PROVIDER_SECRETS_KEYS", "hunter2hunter2", "at least 24 characters"),
    ("CONSOLE_PORT", "0", "from 1 to 65535"),
    ("CONSOLE_PORT", "65536", "from 1 to 65535"),
    ("CONSOLE_PORT", "8001", "two ports"),
    ("INGRESS_PORT", "http", "from 1 to 65535"),
    ("INGRESS_WORKERS", "0", "from 1 to 64"),
    ("WORKERS_MIN", "-1", "from 1 to 64"),
    ("WORKERS_MIN", "5", "above WORKERS_MAX 4"),
    ("WORKERS_MAX", "65", "from 1 to 64"),
    ("COMMIT_LAG_TARGET_MS", "1.5s", "from 100 to 60000"),
    ("LANES", "four", "from 1 to 256"),
    ("LANE_BOUND", "99", "from 100 to"),
    ("LANE_BOUND_BYTES", "65535", "from 65536 to"),
    ("LANE_BOUND_BYTES", "900000000", "local Valkey has room for 966367641"),
    ("SEEN_BOUND", "999", "from 1000 to"),
    ("SEEN_BOUND", "4000000", "local Valkey has room for 966367641"),
    ("BODY_LIMIT_BYTES", "1e6", "from 1024 to"),
    ("BODY_LIMIT_BYTES", "786431", "sendgrid sends up to 786432 bytes"),
    ("RETENTION_BODY_DAYS", "-1", "from 0 to 36500"),
    ("RETENTION_BODY_DAYS", "91", "longer than RETENTION_EVENT_DAYS 90: give 1 to 90"),
    ("RETENTION_BODY_DAYS", "0", "0 (for ever), longer than RETENTION_EVENT_DAYS 90"),
    ("RETENTION_EVENT_DAYS", "forever", "from 0 to 36500"),
    ("RETENTION_IDENTITY_DAYS", "89", "RETENTION_EVENT_DAYS is 90, longer than RETENTION_IDENTITY_DAYS 89"),
    ("RETENTION_FIGURES_DAYS", "34", "from 35 to"),
    ("CONSOLE_PROXIES", "-1", "from 0 to 10"),
    ("CONSOLE_PROXIES", "yes", "from 0 to 10"),
    ("SECOND_FACTOR", "Deciders", "one of off, optional, deciders"),
    ("SECOND_FACTOR", "true", "one of off, optional, deciders"),
    ("SESSION_HOURS", "0", "from 1 to 168"),
    ("SESSION_IDLE_MINUTES", "4", "from 5 to 10080"),
    ("DEBUG", "maybe", "true or false"),
]


@pytest.mark.parametrize(("name", "value", "hint"), WRONG)
def test_a_wrong_value_is_one_line_that_names_the_variable_and_what_is_right(
    base: dict[str, str], name: str, value: str, hint: str
) -> None:
    lines = mistakes({**base, name: value})
    assert len(lines) == 1
    assert name in lines[0]
    assert hint in lines[0]
    assert "hunter2hunter2" not in lines[0]


def test_mail_goes_over_tls_or_stays_on_this_machine_and_is_from_the_console_s_host() -> None:
    def server(url: str) -> MailServer:
        return mail_server_of(url, base_url="https://autocom.example.com")

    away = server("smtp://anna:p%40ss@mail.example.com")
    assert (away.port, away.is_tls, away.starts_tls, away.password) == (587, False, True, "p@ss")
    assert away.sender == "autocom@autocom.example.com"
    assert "p@ss" not in repr(away)
    sealed = server("smtps://mail.example.com?from=ops+autocom@example.com")
    assert (sealed.port, sealed.is_tls, sealed.starts_tls, sealed.user) == (465, True, False, "")
    assert sealed.sender == "ops+autocom@example.com"
    assert not server("smtp://127.0.0.1:25").starts_tls


def test_a_token_goes_over_tls_or_stays_on_this_machine(base: dict[str, str]) -> None:
    token = {"EVIDENCE_ENDPOINT_TOKEN": "hunter2hunter2"}
    (line,) = mistakes({**base, **token, "EVIDENCE_ENDPOINT": "http://evidence.example.com/evidence"})
    assert "give https://" in line
    assert "hunter2hunter2" not in line
    for fine in (
        "https://evidence.example.com",
        "http://127.0.0.1:8000/evidence",
        "http://localhost",
        "http://[::1]:80",
    ):
        assert Environment.from_environ({**base, **token, "EVIDENCE_ENDPOINT": fine}).evidence_endpoint == fine


def test_an_identity_is_kept_longer_than_any_provider_sends_again(base: dict[str, str]) -> None:
    days = {"RETENTION_BODY_DAYS": "1", "RETENTION_EVENT_DAYS": "2", "RETENTION_IDENTITY_DAYS": "7"}
    (line,) = mistakes({**base, **days})
    assert "RETENTION_IDENTITY_DAYS is 7" in line
    assert "give at least 8, or 0 for ever" in line
    assert Environment.from_environ({**base, **days, "RETENTION_IDENTITY_DAYS": "8"}).retention_identity_days == 8


def test_every_mistake_is_told_at_once(base: dict[str, str]) -> None:
    del base["SECRET_KEY"]
    lines = mistakes({**base, "LANES": "0", "DEBUG": "maybe", "DB_URL": "sqlite:///x", "WEBHOOK_BEARER_KEY": "short"})
    assert sorted(line.split()[0] for line in lines) == ["DB_URL", "DEBUG", "LANES", "SECRET_KEY", "WEBHOOK_BEARER_KEY"]


def test_a_file_that_is_missing_empty_binary_or_given_beside_the_value_is_named(
    base: dict[str, str], tmp_path: Path
) -> None:
    empty, binary, good = tmp_path / "empty", tmp_path / "binary", tmp_path / "good"
    empty.write_text("\n")
    binary.write_bytes(b"\xff\xfe")
    good.write_text("postgresql://db.example.com/x")
    assert mistakes({**base, "DB_URL_FILE": str(tmp_path / "none")})[0].startswith("DB_URL_FILE cannot be read")
    assert mistakes({**base, "DB_URL_FILE": str(binary)})[0].startswith("DB_URL_FILE cannot be read")
    assert mistakes({**base, "DB_URL_FILE": str(empty)})[0] == "DB_URL_FILE names an empty file"
    both = mistakes({**base, "DB_URL_FILE": str(good), "DB_URL": "postgresql://db.example.com/y"})
    assert both == ["DB_URL and DB_URL_FILE are both set: keep one"]


def test_one_wrong_file_of_a_number_or_a_secret_is_one_line(base: dict[str, str], tmp_path: Path) -> None:
    assert len(mistakes({**base, "LANES_FILE": str(tmp_path / "none")})) == 1
    del base["SECRET_KEY"]
    assert len(mistakes({**base, "SECRET_KEY_FILE": str(tmp_path / "none")})) == 1


def test_an_empty_value_counts_as_absent(base: dict[str, str]) -> None:
    environment = Environment.from_environ({**base, "DB_URL": " ", "LANES": "", "DEBUG": ""})
    assert environment.db_is_local
    assert environment.lanes == 4


def test_the_local_secrets_are_made_once_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    environ = {"AUTOCOM_DATA_DIR": str(tmp_path)}
    prepare_first_run(environ)
    first = Environment.from_environ(environ)
    prepare_first_run(environ)
    again = Environment.from_environ(environ)
    files = sorted((tmp_path / "secrets").iterdir())
    assert [file.name for file in files] == sorted([*SECRETS, "LOG_SIGNING_KEY"])
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * 4
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert first == again
    assert len({first.secret_key, first.webhook_bearer_key, first.webhook_hmac_secret}) == 3


def test_a_production_start_neither_makes_nor_finds_local_secrets(tmp_path: Path) -> None:
    local = {"AUTOCOM_DATA_DIR": str(tmp_path / "local")}
    prepare_first_run(local)
    production = {**local, "DB_URL": "postgresql://db.example.com/x"}
    assert [line.split()[0] for line in mistakes(production)] == list(SECRETS)
    elsewhere = {**production, "AUTOCOM_DATA_DIR": str(tmp_path / "production")}
    prepare_first_run(elsewhere)
    assert not (tmp_path / "production").exists()


@pytest.mark.parametrize("left_out", OIDC)
def test_a_part_of_openid_connect_is_refused_and_what_is_missing_is_named(base: dict[str, str], left_out: str) -> None:
    given = {name: value for name, value in OIDC.items() if name != left_out}
    (told,) = mistakes({**base, **given, "APP_BASE_URL": "https://autocom.example.com"})
    assert f"are set without {left_out}: sign-in by OpenID Connect takes" in told


def test_a_button_alone_is_no_sign_in_and_none_is_set_up_without_an_address_to_come_back_to(
    base: dict[str, str],
) -> None:
    (told, _) = mistakes({**base, "OIDC_NAME": "Example ID"})
    assert told.startswith("OIDC_NAME is set without OIDC_ISSUER and OIDC_CLIENT_ID and OIDC_CLIENT_SECRET")
    (told,) = mistakes({**base, **OIDC})
    assert told.startswith("APP_BASE_URL is not set, and the identity provider sends people back to it")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("OIDC_ISSUER", "http://id.example.com", "anybody could sign in as anybody"),
        ("OIDC_ISSUER", "https://", "no plain address"),
        ("OIDC_ISSUER", "https://u:hunter2hunter2@id.example.com", "no plain address"),
        ("OIDC_ISSUER", "https://id.example.com/?realm=x", "no plain address"),
        ("OIDC_ISSUER", "https://id.example.com:port", "no plain address"),
        ("OIDC_ISSUER", "https://id.example.com/ x", "no plain address"),
        ("OIDC_ISSUER", f"https://id.example.com/{'x' * 200}", "200 are kept"),
        ("OIDC_ISSUER", "ldap://id.example.com", "https://"),
        ("OIDC_CLIENT_ID", "auto\ncom", "copy it anew"),
        ("OIDC_CLIENT_SECRET", "hunter2hunter2", "at least 16"),
        ("OIDC_CLIENT_SECRET", "hunter2hunter2 \u2603", "copy it anew"),
        ("OIDC_NAME", "x" * 41, "40 characters"),
    ],
)
def test_a_wrong_setting_of_openid_connect_is_one_line_that_names_it(
    base: dict[str, str], name: str, value: str, told: str
) -> None:
    environ = {**base, "APP_BASE_URL": "https://autocom.example.com", **OIDC, name: value}
    (line,) = mistakes(environ)
    assert line.startswith(name)
    assert told in line
    assert "hunter2" not in line
    here = "http://127.0.0.1:9000/realms/ours"
    assert Environment.from_environ({**environ, **OIDC, "OIDC_NAME": "", "OIDC_ISSUER": here}).oidc_issuer == here


def test_a_secret_of_the_users_own_wins_over_the_generated_one(tmp_path: Path) -> None:
    environ = {"AUTOCOM_DATA_DIR": str(tmp_path)}
    prepare_first_run(environ)
    own = Environment.from_environ({**environ, "WEBHOOK_HMAC_SECRET": SECRETS["WEBHOOK_HMAC_SECRET"]})
    assert own.webhook_hmac_secret == SECRETS["WEBHOOK_HMAC_SECRET"]


def test_a_process_with_mistakes_ends_with_2_and_a_line_for_each(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "AUTOCOM_DATA_DIR": str(tmp_path), "LANES": "0", **SECRETS, "SECRET_KEY": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert lines[0].startswith("autocom: SECRET_KEY is not set")
    assert lines[1].startswith("autocom: LANES is '0'")
    assert "manage.py up" in lines[2]
    assert len(lines) == 3
    assert not done.stdout


class Recording(dict[str, str]):
    """Remembers which names were asked for."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.asked: set[str] = set()

    def get(self, name: str, default: object = None) -> object:  # type: ignore[override]
        self.asked.add(name)
        return super().get(name, default)


def variables_read() -> set[str]:
    """Every variable that a start looks at, `NAME_FILE` counted as `NAME`."""
    environ = Recording({**SECRETS, "AUTOCOM_DATA_DIR": "/nowhere", "DB_URL": "postgresql://db.example.com/x"})
    Environment.from_environ(environ)
    return {name.removesuffix("_FILE") for name in environ.asked}
