"""What this deployment was started with, for the audit log: every setting, but of secrets only that they are set.

A value is shown only where its type or its name says that it is none of a secret; a new setting is hidden until then.
"""

from __future__ import annotations

import hashlib
import logging
import platform
from dataclasses import fields
from pathlib import Path
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.db import Error, connections, transaction

from autocom.kernel.errors import AutocomError
from evidence.audit import Act, Actor, record

SHOWN_TEXTS = frozenset({"sentry_environment", "ingress_host", "second_factor", "oidc_client_id", "oidc_name"})
SHOWN_ADDRESSES = frozenset(
    {
        "db_url",
        "redis_url",
        "app_base_url",
        "email_url",
        "evidence_endpoint",
        "evidence_store_url",
        "otel_endpoint",
        "otel_traces_endpoint",
        "oidc_issuer",
    }
)
LOCK_FILE = "requirements.txt"

log = logging.getLogger(__name__)


def record_start(what: str) -> bool:
    """One entry of this start. A start does not depend on it: False, and a line in the log, where it cannot be written.

    No connection is left open, so that whatever is forked afterwards shares none.
    """
    try:
        with transaction.atomic():
            record(
                Act.CONFIGURATION_AT_START, actor=Actor.process(what), subject="configuration", facts=configuration()
            )
    except (Error, AutocomError) as error:
        log.error("configuration_not_recorded", extra={"error": type(error).__name__})
        return False
    finally:
        connections.close_all()
    return True


def configuration() -> dict[str, object]:
    """Settings, versions, and the digest of the locked dependencies."""
    environment = settings.AUTOCOM
    told = {field.name: _told(field.name, getattr(environment, field.name)) for field in fields(environment)}
    return {
        "settings": told,
        "python": platform.python_version(),
        "django": django.get_version(),
        "lock_file_sha256": _digest(Path(settings.BASE_DIR) / LOCK_FILE),
    }


def _told(name: str, value: object) -> object:
    match value:
        case bool() | int():
            return value
        case Path():
            return str(value)
        case str() if name in SHOWN_TEXTS:
            return value
        case str() if name in SHOWN_ADDRESSES and value:
            return _without_credentials(value)
    return "set" if value else "not set"


def _without_credentials(url: str) -> str:
    """Scheme, host, port and path: user, password and query may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no such file"
