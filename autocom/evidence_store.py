"""EVIDENCE_STORE_URL: an object store for artifacts, as django-storages takes it. The AWS variables have the keys."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from autocom.kernel.errors import ConfigurationError

KNOWN = {"endpoint": "endpoint_url", "region": "region_name"}
SPILL_BYTES = 1_048_576  # what an object being read may take of memory before it goes to a temporary file


def storage_of(url: str) -> dict[str, Any]:
    """An entry of Django's STORAGES for `s3://bucket/prefix?endpoint=https://...&region=...`.

    Raises ConfigurationError, which never repeats the URL: somebody may have written a key into it.
    """
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    if parts.scheme != "s3" or not parts.hostname:
        raise ConfigurationError("write it as s3://bucket/prefix?endpoint=https://s3.example.com")
    if "@" in parts.netloc:
        raise ConfigurationError("no credentials in it: give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if set(query) - set(KNOWN) or any(len(values) != 1 for values in query.values()):
        raise ConfigurationError(f"its query takes {' and '.join(KNOWN)}, each once")
    if ".." in parts.path.split("/"):
        raise ConfigurationError("its prefix has a part ..: write it without")
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": parts.netloc,
            "location": parts.path.strip("/"),
            "default_acl": None,
            "max_memory_size": SPILL_BYTES,
            **{KNOWN[name]: values[0] for name, values in query.items()},
        },
    }
