"""How the verbs print: lines for people, one object for programs. A value of a secret only where it was made here."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ingestion.provider_changes.secret_values import StoredSecret
from ingestion.provider_states import ProviderState, SecretState


def say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def say_json(value: Any) -> None:
    say(json.dumps(value, indent=2, ensure_ascii=False))


def told(at: datetime | None, *, none: str) -> str:
    return none if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def secret_line(secret: SecretState) -> str:
    if secret.source != "stored":
        return f"  …{secret.fingerprint}  from {secret.source}; uses are not recorded"
    times = f"from {told(secret.not_before, none='ever')} to {told(secret.not_after, none='no end')}"
    return f"  …{secret.fingerprint}  {secret.phase:<10}  {times}  last used {told(secret.last_used_at, none='never')}"


def state_json(state: ProviderState) -> dict[str, Any]:
    return {
        "name": state.name,
        "scheme": state.scheme,
        "enabled": state.enabled,
        "path": f"/webhooks/{state.name}",
        "options": state.options,
        "problem": state.problem,
        "secrets": [
            {
                "fingerprint": secret.fingerprint,
                "phase": secret.phase,
                "source": secret.source,
                "not_before": iso(secret.not_before),
                "not_after": iso(secret.not_after),
                "last_used_at": iso(secret.last_used_at),
            }
            for secret in state.secrets
        ],
    }


def stored_json(name: str, stored: StoredSecret) -> dict[str, Any]:
    """With the value where it was made here: the program that asked must hand it to the sender."""
    return {
        "provider": name,
        "fingerprint": stored.fingerprint,
        "not_before": iso(stored.not_before),
        "not_after": iso(stored.not_after),
        "secret": stored.generated,
    }


def stored_lines(stored: StoredSecret) -> Iterable[str]:
    yield f"secret …{stored.fingerprint}, valid from {told(stored.not_before, none='now')}"
    if stored.generated is not None:
        yield "this is the only time that it is shown; give it to the sender:"
        yield f"  {stored.generated}"
