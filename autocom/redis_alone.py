"""redis-py, loaded as where OpenTelemetry is not installed.

It would load OpenTelemetry's SDK for metrics that nobody asked for: a quarter of the CPU that a process needs to start,
and 4 MB of each. Settings import this before anything else imports redis.
"""

import sys

HIDDEN = "opentelemetry"

if HIDDEN not in sys.modules:
    sys.modules[HIDDEN] = None  # type: ignore[assignment]  # importing it fails, which redis-py is prepared for
    try:
        import redis  # noqa: F401
    finally:
        del sys.modules[HIDDEN]
