"""What a generator run is given, as one JSON file: the only thing that passes from the command to the generator."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from ingestion.replay.errors import ReplayUsageError
from ingestion.replay.signing import SignerSpec

LOOPBACK_HOSTS: Final = ("127.0.0.1", "localhost", "::1")
DEFAULT_PROVIDER: Final = "default"
COUNT_AT_MOST: Final = 5_000_000
CONNECTIONS_AT_MOST: Final = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server on this machine. `base_path` has no slash at its end."""

    host: str
    port: int
    base_path: str = ""

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self.base_path}"


def target_of(url: str) -> Target:
    """Raises ReplayUsageError for everything but plain HTTP on this machine: a load test must not leave it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 80
    except ValueError as error:
        raise ReplayUsageError(f"--target {url}: not a URL: {error}") from error
    if parts.scheme != "http" or host not in LOOPBACK_HOSTS or "@" in parts.netloc:
        raise ReplayUsageError(
            f"--target {url}: only this machine may be loaded: give http:// with 127.0.0.1, localhost or [::1]"
        )
    if parts.query or parts.fragment or not parts.path.isascii() or not parts.path.isprintable() or " " in parts.path:
        raise ReplayUsageError(f"--target {url}: give the address of the server alone, such as http://127.0.0.1:8001")
    return Target(host=host, port=port, base_path=parts.path.rstrip("/"))


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorConfig:
    """One run. `rate` is in sends a second; 0 is as fast as the connections allow."""

    run_id: str
    target: Target
    path: str  # below the target's base path, such as /webhooks/default
    provider: str = DEFAULT_PROVIDER  # whose rows the run will look for
    signer: SignerSpec
    success_status: int = 0  # the one that the provider takes for success; 0: any 2xx
    busy_status: int = 0  # the one that makes the provider send again; 0: 429 and every 5xx
    journal_path: Path
    count: int = 30_000
    rate: float = 1_000.0
    connections: int = 64
    keys: int = 500
    duplicates: float = 0.02
    conflicts: float = 0.0  # share of sends that bring an earlier event's identity with another body
    poison: float = 0.0  # share of events with a payload that PostgreSQL cannot hold
    seed: int = 1
    input_path: Path | None = None  # recorded webhooks instead of made events
    retries: int = 8
    timeout_seconds: float = 5.0
    grace_seconds: float = 30.0  # without any answer for so long, what is still open counts as failed

    def __post_init__(self) -> None:
        """Raises ReplayUsageError; the message names the option."""
        _check("--count", self.count, at_least=1, at_most=COUNT_AT_MOST)
        _check("--rate", self.rate, at_least=0, at_most=1_000_000)
        _check("--connections", self.connections, at_least=1, at_most=CONNECTIONS_AT_MOST)
        _check("--keys", self.keys, at_least=1, at_most=1_000_000)
        _check("--duplicates", self.duplicates, at_least=0, at_most=0.95)
        _check("--conflicts", self.conflicts, at_least=0, at_most=0.95 - self.duplicates)
        _check("--poison", self.poison, at_least=0, at_most=1)
        if (self.conflicts or self.poison) and (self.input_path or self.provider != DEFAULT_PROVIDER):
            raise ReplayUsageError("--conflicts and --poison change made events: leave --input and --provider out")
        _check("--retries", self.retries, at_least=0, at_most=100)

    def write(self, path: Path) -> None:
        """The file, readable by this user alone: it holds the signing secrets."""
        value = asdict(self) | {
            "signer": self.signer.as_json(),
            "journal_path": str(self.journal_path),
            "input_path": str(self.input_path) if self.input_path else None,
        }
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(value, file)

    @classmethod
    def read(cls, path: Path) -> Self:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        value["target"] = Target(**value["target"])
        value["signer"] = SignerSpec.from_json(value["signer"])
        value["journal_path"] = Path(value["journal_path"])
        value["input_path"] = Path(value["input_path"]) if value["input_path"] else None
        return cls(**value)


def _check(option: str, value: float, *, at_least: float, at_most: float) -> None:
    if not at_least <= value <= at_most:  # also refuses NaN
        raise ReplayUsageError(f"{option} {value}: must be between {at_least} and {at_most}")
