"""Signatures as a provider makes them, with a fresh time for every attempt."""

import hmac
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self


class Signer(Protocol):
    """The headers that authenticate this body at this moment. Called once an attempt, on the hot path."""

    def __call__(self, body: bytes, *, now_seconds: int) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class SignerSpec:
    """Names a factory as `module:function` with its arguments, so that another process can make the same signer."""

    factory: str
    arguments: Mapping[str, str]

    def make(self) -> Any:
        """A Signer, or a ProviderSigner. Raises ImportError or AttributeError for a factory that does not exist."""
        module_name, _, function_name = self.factory.partition(":")
        return getattr(importlib.import_module(module_name), function_name)(**self.arguments)

    def as_json(self) -> dict[str, Any]:
        return {"factory": self.factory, "arguments": dict(self.arguments)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(factory=str(value["factory"]), arguments=dict(value["arguments"]))

    def __repr__(self) -> str:
        return f"SignerSpec(factory={self.factory!r}, arguments=<{', '.join(sorted(self.arguments))}>)"


def default_signer(*, bearer: str, secret: str) -> Signer:
    """Bearer plus HMAC-SHA256 over `<unix seconds>.<body>`, in lower-case hex: the provider `default`."""
    authorization = f"Bearer {bearer}"
    key = secret.encode()

    def sign(body: bytes, *, now_seconds: int) -> Mapping[str, str]:
        moment = str(now_seconds)
        signature = hmac.digest(key, b"%s.%s" % (moment.encode(), body), "sha256").hex()
        return {
            "Authorization": authorization,
            "X-Webhook-Timestamp": moment,
            "X-Webhook-Signature": f"sha256={signature}",
        }

    return sign


def default_signer_spec(*, bearer: str, secret: str) -> SignerSpec:
    """The provider `default`, ready for a generator process."""
    return SignerSpec(factory="ingestion.replay.signing:default_signer", arguments={"bearer": bearer, "secret": secret})
