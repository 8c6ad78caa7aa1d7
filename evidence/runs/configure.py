"""What a run is given: where it sends, what, and signed how. For the command and for orders of the console alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from evidence.gates.spec import gate_names
from ingestion.provider_book import DEFAULT
from ingestion.replay.config import GeneratorConfig, target_of
from ingestion.replay.errors import ReplayUsageError
from ingestion.replay.signing import default_signer_spec
from ingestion.replay.stored_signer import stored_signer


def own_ingress() -> str:
    """The address of this machine's ingress."""
    return f"http://127.0.0.1:{settings.AUTOCOM.ingress_port}"


def known_gate(name: str) -> str:
    """Raises ReplayUsageError."""
    if name not in gate_names():
        raise ReplayUsageError(f"--gate {name}: there is no such gate; known: {', '.join(gate_names())}")
    return name


def generator_config(
    *,
    run_id: str,
    journal_path: Path,
    provider: str,
    target: str = "",
    input_path: Path | None = None,
    signing_key_file: Path | None = None,
    load: Mapping[str, Any],
) -> GeneratorConfig:
    """`load`: count, rate, connections, keys, duplicates, conflicts, poison, seed. Raises ReplayError."""
    return GeneratorConfig(
        run_id=run_id,
        target=target_of(target or own_ingress()),
        path=f"/webhooks/{provider}",
        provider=provider,
        journal_path=journal_path,
        input_path=input_path,
        **load,
        **_signing(provider, key_file=signing_key_file, makes_events=input_path is None),
    )


def _signing(provider: str, *, key_file: Path | None, makes_events: bool) -> dict[str, Any]:
    """How the provider signs, and which answers it takes for a yes and for "later". Raises ReplayError."""
    if provider == DEFAULT:
        if key_file:
            raise ReplayUsageError("--signing-key-file: the provider `default` signs with the environment's secrets")
        autocom = settings.AUTOCOM
        return {"signer": default_signer_spec(bearer=autocom.webhook_bearer_key, secret=autocom.webhook_hmac_secret)}
    found = stored_signer(provider, key_file=key_file, makes_events=makes_events)
    return {
        "signer": found.spec,
        "success_status": found.ack.success_status,
        "busy_status": found.ack.busy_status,
    }
