"""The environment, parsed once and strictly. A wrong value stops the start with one line that names it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from autocom.evidence_store import storage_of
from autocom.kernel.addresses import is_loopback
from autocom.kernel.cosignature import WitnessKey
from autocom.kernel.env import EnvReader
from autocom.kernel.errors import ConfigurationError
from autocom.kernel.signed_note import NoteInvalid, SigningKeyInvalid
from autocom.kernel.signing_keys import signers_of
from autocom.local_servers import addresses
from autocom.local_servers.limits import VALKEY_MEMORY_BYTES
from autocom.mail_server import mail_server_of
from ingestion.buffer.memory import FREE_SHARE
from ingestion.providers.registry import ADAPTERS

PLACEHOLDER_WORDS = ("changeme", "change-me", "secret", "password", "insecure", "example")
SECRET_LENGTH_AT_LEAST = 24
BODY_LIMIT_DEFAULT_BYTES = 1_048_576
LANES_TOTAL_BYTES = 536_870_912  # of all lanes at their default bounds
SEEN_BOUND_DEFAULT_COUNT = 1_000_000
EVIDENCE_LIMIT_DEFAULT_BYTES = 268_435_456
SEEN_BYTES = 300  # of an identity in Redis with its place in their order, as measured
SECOND_FACTORS = ("off", "optional", "deciders")
OIDC_SECRET_AT_LEAST = 16  # characters: the identity provider makes it
OIDC_ISSUER_LIMIT_CHARS = 200  # of the column that links keep it in
OIDC_NAME_LIMIT_CHARS = 40  # of a button
LOCAL_SECRETS = ("SECRET_KEY", "WEBHOOK_BEARER_KEY", "WEBHOOK_HMAC_SECRET")
LOCAL_KEYS = (*LOCAL_SECRETS, "LOG_SIGNING_KEY")  # the last one is needed by nobody but the sealer


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Every setting that comes from outside. `docs/settings.md` lists them; a test keeps the two alike."""

    secret_key: str
    secret_key_fallbacks: tuple[str, ...]
    provider_secrets_keys: tuple[str, ...]
    webhook_bearer_key: str
    webhook_hmac_secret: str
    log_signing_key: str
    log_name: str
    witness_keys: tuple[str, ...]
    db_url: str
    redis_url: str
    db_is_local: bool
    redis_is_local: bool
    sentry_dsn: str
    sentry_environment: str
    sentry_release: str
    sentry_in_observer: bool
    sentry_traces_share: float
    otel_endpoint: str
    otel_traces_endpoint: str
    otel_headers: str
    otel_share: float
    otel_is_disabled: bool
    otel_in_observer: bool
    app_base_url: str
    evidence_root: Path
    allow_private_destinations: bool
    email_url: str
    evidence_endpoint: str
    evidence_endpoint_token: str
    evidence_limit_bytes: int
    evidence_quota_bytes: int
    evidence_store_url: str
    data_dir: Path
    api_rate_limit_per_minute: int
    console_port: int
    ingress_port: int
    ingress_host: str
    ingress_workers: int
    workers_min: int
    workers_max: int
    commit_lag_target_ms: int
    lanes: int
    lane_bound_count: int
    lane_bound_bytes: int
    seen_bound_count: int
    body_limit_bytes: int
    retention_body_days: int
    retention_event_days: int
    retention_identity_days: int
    retention_figures_days: int
    console_proxies: int
    second_factor: str
    session_hours: int
    session_idle_minutes: int
    oidc_issuer: str
    oidc_client_id: str
    oidc_client_secret: str
    oidc_name: str
    debug: bool

    @property
    def is_local(self) -> bool:
        """True when the database is one that autocom started itself: the only case with demonstration users."""
        return self.db_is_local

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Raises ConfigurationError with one line for every mistake found."""
        data_dir = addresses.data_dir(environ)
        read = EnvReader(with_local_secrets(environ, data_dir=data_dir))
        db_url = read.url("DB_URL", schemes=("postgresql", "postgres"))
        redis_url = read.url("REDIS_URL", schemes=("redis", "rediss", "unix"))
        environment = cls(
            secret_key=_secret(read, "SECRET_KEY"),
            secret_key_fallbacks=_keys(read, "SECRET_KEY_FALLBACKS"),
            provider_secrets_keys=_keys(read, "PROVIDER_SECRETS_KEYS"),
            webhook_bearer_key=_secret(read, "WEBHOOK_BEARER_KEY"),
            webhook_hmac_secret=_secret(read, "WEBHOOK_HMAC_SECRET"),
            log_signing_key=_signing_key(read),
            log_name=_log_name(read, base_url=(base_url := read.url("APP_BASE_URL", schemes=("http", "https")))),
            witness_keys=_witness_keys(read),
            db_url=db_url or addresses.db_url(data_dir),
            redis_url=redis_url or addresses.redis_url(data_dir),
            db_is_local=not db_url,
            redis_is_local=not redis_url,
            sentry_dsn=read.url("SENTRY_DSN", schemes=("http", "https")),
            sentry_environment=read.text("SENTRY_ENVIRONMENT", default="local"),
            sentry_release=read.text("SENTRY_RELEASE", default=""),
            sentry_in_observer=read.flag("SENTRY_IN_OBSERVER", default=False),
            sentry_traces_share=_share(read, "SENTRY_TRACES_SAMPLE_RATE", default="0"),
            otel_endpoint=read.url("OTEL_EXPORTER_OTLP_ENDPOINT", schemes=("http", "https")),
            otel_traces_endpoint=read.url("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", schemes=("http", "https")),
            otel_headers=read.text("OTEL_EXPORTER_OTLP_HEADERS", default=""),
            otel_share=_share(read, "OTEL_TRACES_SAMPLER_ARG", default="1"),
            otel_is_disabled=read.flag("OTEL_SDK_DISABLED", default=False),
            otel_in_observer=read.flag("OTEL_IN_OBSERVER", default=False),
            app_base_url=base_url,
            evidence_root=Path(read.text("EVIDENCE_ROOT", default=str(data_dir / "evidence"))),
            allow_private_destinations=read.flag("ALLOW_PRIVATE_DESTINATIONS", default=False),
            email_url=_email_url(read, base_url=base_url),
            evidence_endpoint=read.url("EVIDENCE_ENDPOINT", schemes=("http", "https")),
            evidence_endpoint_token=read.text("EVIDENCE_ENDPOINT_TOKEN", default=""),
            evidence_limit_bytes=read.integer(
                "EVIDENCE_LIMIT_BYTES",
                default=EVIDENCE_LIMIT_DEFAULT_BYTES,
                at_least=1_048_576,
                at_most=1_099_511_627_776,
            ),
            evidence_quota_bytes=read.integer("EVIDENCE_QUOTA_BYTES", default=0, at_least=0, at_most=1 << 60),
            evidence_store_url=_store_url(read),
            data_dir=data_dir,
            api_rate_limit_per_minute=read.integer("API_RATE_LIMIT", default=600, at_least=10, at_most=1_000_000),
            console_port=read.integer("CONSOLE_PORT", default=8000, at_least=1, at_most=65535),
            ingress_port=read.integer("INGRESS_PORT", default=8001, at_least=1, at_most=65535),
            ingress_host=read.text("INGRESS_HOST", default="127.0.0.1"),
            ingress_workers=read.integer("INGRESS_WORKERS", default=2, at_least=1, at_most=64),
            workers_min=read.integer("WORKERS_MIN", default=2, at_least=1, at_most=64),
            workers_max=read.integer("WORKERS_MAX", default=4, at_least=1, at_most=64),
            commit_lag_target_ms=read.integer("COMMIT_LAG_TARGET_MS", default=1_000, at_least=100, at_most=60_000),
            lanes=(lanes := read.integer("LANES", default=4, at_least=1, at_most=256)),
            lane_bound_count=read.integer("LANE_BOUND", default=100_000, at_least=100, at_most=100_000_000),
            lane_bound_bytes=read.integer(
                "LANE_BOUND_BYTES", default=LANES_TOTAL_BYTES // lanes, at_least=65_536, at_most=1_099_511_627_776
            ),
            seen_bound_count=read.integer(
                "SEEN_BOUND", default=SEEN_BOUND_DEFAULT_COUNT, at_least=1_000, at_most=1_000_000_000
            ),
            body_limit_bytes=read.integer(
                "BODY_LIMIT_BYTES", default=BODY_LIMIT_DEFAULT_BYTES, at_least=1_024, at_most=26_214_400
            ),
            retention_body_days=read.integer("RETENTION_BODY_DAYS", default=30, at_least=0, at_most=36_500),
            retention_event_days=read.integer("RETENTION_EVENT_DAYS", default=90, at_least=0, at_most=36_500),
            retention_identity_days=read.integer("RETENTION_IDENTITY_DAYS", default=0, at_least=0, at_most=36_500),
            retention_figures_days=read.integer("RETENTION_FIGURES_DAYS", default=400, at_least=35, at_most=36_500),
            console_proxies=read.integer("CONSOLE_PROXIES", default=0, at_least=0, at_most=10),
            second_factor=read.choice("SECOND_FACTOR", default=SECOND_FACTORS[0], choices=SECOND_FACTORS),
            session_hours=read.integer("SESSION_HOURS", default=12, at_least=1, at_most=168),
            session_idle_minutes=read.integer("SESSION_IDLE_MINUTES", default=60, at_least=5, at_most=10_080),
            oidc_issuer=read.url("OIDC_ISSUER", schemes=("https", "http")),
            oidc_client_id=read.text("OIDC_CLIENT_ID", default=""),
            oidc_client_secret=read.text("OIDC_CLIENT_SECRET", default="", at_least_length=OIDC_SECRET_AT_LEAST),
            oidc_name=read.text("OIDC_NAME", default=""),
            debug=read.flag("DEBUG", default=False),
        )
        environment._check_together(read)
        if read.mistakes:
            raise ConfigurationError("\n".join(read.mistakes))
        return environment

    def _check_retention(self, read: EnvReader) -> None:
        """What outlives something else must not go before it; 0 is for ever."""
        body, event, identity = self.retention_body_days, self.retention_event_days, self.retention_identity_days
        for shorter, days, longer, limit in (
            ("RETENTION_BODY_DAYS", body, "RETENTION_EVENT_DAYS", event),
            ("RETENTION_EVENT_DAYS", event, "RETENTION_IDENTITY_DAYS", identity),
        ):
            if limit and not 0 < days <= limit:
                read.mistakes.append(
                    f"{shorter} is {days or '0 (for ever)'}, longer than {longer} {limit}: give 1 to {limit}"
                )
        horizon = max(adapter.RETRY_HORIZON for adapter in ADAPTERS.values())
        if identity and timedelta(days=identity) <= horizon:
            read.mistakes.append(
                f"RETENTION_IDENTITY_DAYS is {identity}, but a provider may send an event again for {horizon.days}"
                f" days: give at least {horizon.days + 1}, or 0 for ever"
            )

    def _check_endpoint(self, read: EnvReader) -> None:
        """What would make each publication fail, or show the token on its way."""
        url, token = self.evidence_endpoint, self.evidence_endpoint_token
        if not (token.isascii() and token.isprintable() and " " not in token):
            read.mistakes.append(
                "EVIDENCE_ENDPOINT_TOKEN has a blank or a character that no header takes: copy it anew"
            )
        if url.startswith(("http://", "https://")):
            read.mistakes.extend(f"EVIDENCE_ENDPOINT {wrong}" for wrong in _wrong_with_endpoint(url, token=token))

    def _check_oidc(self, read: EnvReader) -> None:
        """All of it or nothing, an issuer that cannot be read on the way, and an address to come back to."""
        given = {
            "OIDC_ISSUER": self.oidc_issuer,
            "OIDC_CLIENT_ID": self.oidc_client_id,
            "OIDC_CLIENT_SECRET": self.oidc_client_secret,
        }
        missing = [name for name, value in given.items() if not value]
        if len(missing) == len(given) and not self.oidc_name:
            return
        if missing:
            there = [
                name for name in (*given, "OIDC_NAME") if name not in missing and (name in given or self.oidc_name)
            ]
            are = "is" if len(there) == 1 else "are"
            read.mistakes.append(
                f"{' and '.join(there)} {are} set without {' and '.join(missing)}: sign-in by OpenID Connect takes "
                "OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_CLIENT_SECRET, or none of them"
            )
        if self.oidc_issuer.startswith(("http://", "https://")):
            read.mistakes.extend(f"OIDC_ISSUER {wrong}" for wrong in _wrong_with_issuer(self.oidc_issuer))
        for name in ("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"):
            if not (given[name].isascii() and given[name].isprintable()):
                read.mistakes.append(f"{name} has a character that no identity provider gives out: copy it anew")
        if len(self.oidc_name) > OIDC_NAME_LIMIT_CHARS or not self.oidc_name.isprintable():
            read.mistakes.append(f"OIDC_NAME is no label of a button: give {OIDC_NAME_LIMIT_CHARS} characters at most")
        if not self.app_base_url:
            read.mistakes.append(
                "APP_BASE_URL is not set, and the identity provider sends people back to it: give the console's address"
            )

    def _check_together(self, read: EnvReader) -> None:
        self._check_retention(read)
        self._check_endpoint(read)
        self._check_oidc(read)
        if self.console_port == self.ingress_port:
            read.mistakes.append(f"CONSOLE_PORT and INGRESS_PORT are both {self.console_port}: they need two ports")
        if self.workers_min > self.workers_max:
            read.mistakes.append(f"WORKERS_MIN is {self.workers_min}, above WORKERS_MAX {self.workers_max}")
        if self.redis_is_local:
            self._check_memory(read)
        for scheme, adapter in ADAPTERS.items():
            # what a provider sends above the default is taken whatever this says; below it, this must let it pass
            if self.body_limit_bytes < (adapter.BODY_LIMIT_BYTES or 0) <= BODY_LIMIT_DEFAULT_BYTES:
                read.mistakes.append(
                    f"BODY_LIMIT_BYTES is {self.body_limit_bytes}, but {scheme} sends up to "
                    f"{adapter.BODY_LIMIT_BYTES} bytes: give at least that"
                )
        if "://" in self.app_base_url and not urlsplit(self.app_base_url).hostname:
            read.mistakes.append("APP_BASE_URL has no host: write it as https://autocom.example.com")

    def _check_memory(self, read: EnvReader) -> None:
        """Of the local Valkey, whose limit is ours: full lanes and all identities must leave room for the rest."""
        usable_bytes = int(VALKEY_MEMORY_BYTES * (1 - FREE_SHARE))
        lanes_bytes = self.lanes * self.lane_bound_bytes
        seen_bytes = self.seen_bound_count * SEEN_BYTES
        if lanes_bytes + seen_bytes > usable_bytes:
            read.mistakes.append(
                f"LANES x LANE_BOUND_BYTES is {lanes_bytes}, and SEEN_BOUND takes {seen_bytes} bytes "
                f"more: the local Valkey has room for {usable_bytes} together. Lower one of them, or give a REDIS_URL"
            )


def _secret(read: EnvReader, name: str) -> str:
    value = read.text(name, at_least_length=SECRET_LENGTH_AT_LEAST)
    if any(value.lower().startswith(word) for word in PLACEHOLDER_WORDS):
        read.mistakes.append(f"{name} looks like a placeholder: make one with `openssl rand -hex 32`")
    return value


def _share(read: EnvReader, name: str, *, default: str) -> float:
    """From 0 to 1."""
    text = read.text(name, default=default)
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        read.mistakes.append(f"{name} is {text!r}: give a share from 0 (none) to 1 (all)")
        return 0.0
    return share


def _signing_key(read: EnvReader) -> str:
    """One or more Ed25519 private keys in PEM, the one that signs first; empty in a process that seals nothing."""
    value = read.text("LOG_SIGNING_KEY", default="")
    if value:
        try:
            signers_of(value, name="checked")
        except SigningKeyInvalid as error:
            read.mistakes.append(f"LOG_SIGNING_KEY: {error}")
    return value


def _witness_keys(read: EnvReader) -> tuple[str, ...]:
    """Verifier keys of those whose countersignatures are taken."""
    vkeys = tuple(vkey.strip() for vkey in read.text("WITNESS_KEYS", default="").split(",") if vkey.strip())
    for vkey in vkeys:
        try:
            WitnessKey.parse(vkey)
        except NoteInvalid as error:
            read.mistakes.append(f"WITNESS_KEYS: {error}")
    return vkeys


def _log_name(read: EnvReader, *, base_url: str) -> str:
    """What every checkpoint of this installation begins with: by default the console's host."""
    default = urlsplit(base_url).hostname or "localhost"
    name = read.text("LOG_NAME", default=f"{default}/autocom")
    if not re.fullmatch(r"[A-Za-z0-9._/-]{1,100}", name):
        read.mistakes.append(f"LOG_NAME is {name!r}: write host and path, such as autocom.example.com/log")
    return name


def _wrong_with_endpoint(url: str, *, token: str) -> Iterator[str]:
    """None of it repeats the address, which may hold a password."""
    try:
        parts, port = urlsplit(url), urlsplit(url).port
    except ValueError:
        parts, port = urlsplit("http://"), 0
    if not parts.hostname or port == 0 or "@" in parts.netloc or parts.query or parts.fragment:
        yield "is no plain address: give scheme, host and path alone, such as https://autocom.example.com/evidence"
    elif parts.scheme == "http" and token and not is_loopback(parts.hostname):
        yield "is http://, over which EVIDENCE_ENDPOINT_TOKEN could be read by anybody: give https://"


def _wrong_with_issuer(url: str) -> Iterator[str]:
    """None of it repeats the address, which may hold a password."""
    try:
        parts, port = urlsplit(url), urlsplit(url).port
    except ValueError:
        parts, port = urlsplit("https://"), 0
    is_plain = url.isascii() and url.isprintable() and " " not in url
    if not is_plain or not parts.hostname or port == 0 or "@" in parts.netloc or "?" in url or "#" in url:
        yield "is no plain address: give it as the identity provider's discovery says it, such as https://id.example.com"
    elif parts.scheme == "http" and not is_loopback(parts.hostname):
        yield "is http://, over which anybody could sign in as anybody: give https://"
    if len(url) > OIDC_ISSUER_LIMIT_CHARS:
        yield f"has {len(url)} characters: {OIDC_ISSUER_LIMIT_CHARS} are kept of an issuer"


def _store_url(read: EnvReader) -> str:
    value = read.text("EVIDENCE_STORE_URL", default="")
    if value:
        try:
            storage_of(value)
        except (ConfigurationError, ValueError) as error:
            read.mistakes.append(f"EVIDENCE_STORE_URL: {error if isinstance(error, ConfigurationError) else 'no URL'}")
    return value


def _email_url(read: EnvReader, *, base_url: str) -> str:
    value = read.text("EMAIL_URL", default="")
    if value:
        try:
            mail_server_of(value, base_url=base_url)
        except ConfigurationError as error:
            read.mistakes.append(f"EMAIL_URL: {error}")
    return value


def _keys(read: EnvReader, name: str) -> tuple[str, ...]:
    """None or more keys, separated by commas."""
    keys = tuple(key.strip() for key in read.text(name, default="").split(",") if key.strip())
    if any(len(key) < SECRET_LENGTH_AT_LEAST for key in keys):
        read.mistakes.append(
            f"{name} has a shorter key: each has at least {SECRET_LENGTH_AT_LEAST} characters, and commas separate them"
        )
    return keys


def with_local_secrets(environ: Mapping[str, str], *, data_dir: Path) -> Mapping[str, str]:
    """The environment with the secrets that `manage.py up` generated on this machine, where none are given.

    Only while the database is a local one: a production start without secrets must fail, not find some.
    """
    if environ.get("DB_URL") or environ.get("DB_URL_FILE"):
        return environ
    found = {}
    for name in LOCAL_KEYS:
        file = data_dir / "secrets" / name
        if not environ.get(name) and not environ.get(f"{name}_FILE") and file.is_file():
            found[f"{name}_FILE"] = str(file)
    return {**environ, **found}


def environment_or_exit(environ: Mapping[str, str]) -> Environment:
    """For process starts: prints each mistake as one line and exits with 2."""
    try:
        return Environment.from_environ(environ)
    except ConfigurationError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"autocom: {line}\n")
        if any(f"{name} is not set" in str(error) for name in LOCAL_SECRETS):
            sys.stderr.write("autocom: on a developer's machine `manage.py up` (or `make up`) generates these once\n")
        raise SystemExit(2) from None
