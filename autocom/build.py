"""Which code a process runs, so that another process can tell whether it is the same."""

from functools import cache
from pathlib import Path

from django.conf import settings

from autocom.kernel.digest import derived_key, framed, hmac_sha256

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("autocom", "console", "evidence", "ingestion")
SUFFIXES = (".py", ".lua")


@cache
def build() -> str:
    """Sixteen hex digits over the sources as they are at the first call: a service calls at its start.

    A MAC under SECRET_KEY: it differs where the key does, and tells nobody else which release this is.
    """
    files = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.suffix in SUFFIXES)
    parts = [part for path in files for part in (str(path.relative_to(ROOT)).encode(), path.read_bytes())]
    return hmac_sha256(derived_key(settings.SECRET_KEY, purpose="autocom.build.v1"), framed(parts)).hex()[:16]
