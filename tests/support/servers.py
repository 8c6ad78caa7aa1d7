"""A pytest plugin, loaded before Django's settings: a PostgreSQL and a Valkey of the tests' own, never the user's.

They run from their wheels in a temporary directory and are gone when the tests end.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from autocom.kernel.signing_keys import new_signing_key
from autocom.local_servers.servers import LocalServers

OUTSIDE = (
    "DB_URL",
    "REDIS_URL",
    "SENTRY_DSN",
    "APP_BASE_URL",
    "EMAIL_URL",
    "DEBUG",
    "AUTOCOM_PROCESS",
    "AUTOCOM_SUPERVISED",
    "EVIDENCE_ROOT",
    "EVIDENCE_ENDPOINT",
    "EVIDENCE_ENDPOINT_TOKEN",
    "SENTRY_IN_OBSERVER",
    "SENTRY_RELEASE",
    "SENTRY_TRACES_SAMPLE_RATE",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_SDK_DISABLED",
    "OTEL_IN_OBSERVER",
    "EVIDENCE_STORE_URL",
    "CONSOLE_PROXIES",
    "SECOND_FACTOR",
    "SESSION_HOURS",
    "SESSION_IDLE_MINUTES",
    "OIDC_ISSUER",
    "OIDC_CLIENT_ID",
    "OIDC_CLIENT_SECRET",
    "OIDC_NAME",
)
BASE = Path(tempfile.mkdtemp(prefix="autocom-test-"))
BASE.chmod(0o755)  # the servers' own user must get through to its directories below
PROCESS = os.getpid()

for name in OUTSIDE:
    os.environ.pop(name, None)
    os.environ.pop(f"{name}_FILE", None)
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "autocom.settings",
    "AUTOCOM_DATA_DIR": str(BASE),
    "SECRET_KEY": "for-tests-only-0123456789abcdef0123456789abcdef",
    "WEBHOOK_BEARER_KEY": "bearer-for-tests-0123456789abcdef",
    "WEBHOOK_HMAC_SECRET": "hmac-for-tests-0123456789abcdef",
    "LOG_SIGNING_KEY": new_signing_key(),
    "LANES": "4",
}
SERVERS = LocalServers.start(BASE, durable=False)


def _stop() -> None:
    if os.getpid() != PROCESS:  # a forked child must not stop its parent's servers
        return
    SERVERS.stop()
    shutil.rmtree(BASE, ignore_errors=True)


atexit.register(_stop)
