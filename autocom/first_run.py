"""What a first start on a developer's machine makes: the data directory and its secrets, never overwritten."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from autocom.environment import LOCAL_KEYS
from autocom.kernel.signing_keys import new_signing_key
from autocom.local_servers import addresses


def prepare_first_run(environ: Mapping[str, str]) -> None:
    """Each local secret exists afterwards, readable by its owner only. Does nothing when DB_URL is set."""
    if environ.get("DB_URL") or environ.get("DB_URL_FILE"):
        return
    directory = addresses.data_dir(environ) / "secrets"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in LOCAL_KEYS:
        if not environ.get(name) and not environ.get(f"{name}_FILE"):
            _make_once(directory / name, new_signing_key() if name == "LOG_SIGNING_KEY" else secrets.token_hex(32))


def _make_once(path: Path, value: str) -> None:
    try:
        # O_EXCL: two first starts at once must not give the running one another key
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(value)
