"""What runs to check a MAC or a credential does not depend on what a secret is: traced line by line.

How long a comparison takes is `hmac.compare_digest`'s business; here it is shown that nothing around it stops earlier
or goes another way for a signature that is nearly right, too short, or right under another of the secrets.
Left out are the schemes with public keys alone: nothing secret is computed to verify them.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from ingestion.provider_book import environment_default
from ingestion.providers import generic, mailgun
from ingestion.providers.adapter import Adapter, Reason, Refused, Secret
from ingestion.providers.registry import ADAPTERS
from tests.providers.requests import NOW_US, Sent, secret, whsec

ROOT = str(Path(generic.__file__).parent)
PUBLIC_KEYS_ONLY = {"sendgrid", "ses"}
TOOL_ID = 4  # of sys.monitoring: beside a debugger, a coverage tool, a profiler and an optimizer
BODY = b'{"id":"e1","type":"t","event":"open","ts":1}'

type Trace = list[tuple[str, int]]


@contextmanager
def traced() -> Iterator[Trace]:
    """Every line of the adapters that runs, in its order, with repetitions."""
    lines: Trace = []

    def note(code: CodeType, line: int) -> None:
        if code.co_filename.startswith(ROOT):
            lines.append((code.co_name, line))

    sys.monitoring.use_tool_id(TOOL_ID, "constant path")
    try:
        sys.monitoring.register_callback(TOOL_ID, sys.monitoring.events.LINE, note)
        sys.monitoring.set_events(TOOL_ID, sys.monitoring.events.LINE)
        yield lines
    finally:
        sys.monitoring.set_events(TOOL_ID, sys.monitoring.events.NO_EVENTS)
        sys.monitoring.free_tool_id(TOOL_ID)


def hexed(raw: bytes) -> str:
    return raw.hex()


def based(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def plain(raw: bytes) -> str:
    return raw.decode()


@dataclass(frozen=True, slots=True)
class Case:
    """A way to prove who sends. `proof` is the header (or "body") that has the proof, after `prefix`, as `spelt`."""

    scheme: str
    keys: tuple[str, str, str]
    proof: str
    prefix: str
    spelt: Callable[[bytes], str]
    options: Any = None

    @property
    def adapter(self) -> Adapter[Any]:
        return ADAPTERS[self.scheme]

    @property
    def chosen(self) -> Any:
        return self.adapter.read_options({}) if self.options is None else self.options

    def sent(self, key: str) -> Sent:
        headers, body = self.adapter.sign(
            BODY, secret=secret(key), options=self.chosen, url="https://hooks.example/webhooks/p", now_us=NOW_US
        )
        return Sent(headers=headers, body=body)

    def raw(self, sent: Sent) -> bytes:
        """The proof of a request that is right, as bytes."""
        text = sent.body.decode() if self.proof == "body" else sent.lowered()[self.proof]
        encoded = text[text.index(self.prefix) + len(self.prefix) :]
        if self.spelt is hexed:
            return bytes.fromhex(encoded[:64])
        return base64.b64decode(encoded) if self.spelt is based else encoded.encode()

    def with_proof(self, sent: Sent, proof: bytes) -> Sent:
        old, new = (self.prefix + self.spelt(each) for each in (self.raw(sent), proof))
        if self.proof == "body":
            return sent.with_body(sent.body.replace(old.encode(), new.encode()))
        return sent.with_header(self.proof, sent.lowered()[self.proof].replace(old, new))


def three(form: str) -> tuple[str, str, str]:
    return form.format(1), form.format(2), form.format(3)


TEXTS = three("secret-of-24-characters-{}")
CASES = {
    "generic": Case("generic", TEXTS, "x-webhook-signature", "sha256=", hexed),
    "generic in base64": Case(
        "generic",
        TEXTS,
        "x-webhook-signature",
        "sha256=",
        based,
        generic.Options(encoding=generic.Encoding.BASE64, timestamp_header=""),
    ),
    "generic bearer": Case(
        "generic", TEXTS, "authorization", "Bearer ", plain, generic.Options(policy=generic.Policy.BEARER)
    ),
    "standard": Case("standard", (whsec(0), whsec(1), whsec(2)), "webhook-signature", "v1,", based),
    "svix": Case("svix", (whsec(0), whsec(1), whsec(2)), "svix-signature", "v1,", based),
    "stripe": Case("stripe", three("whsec_0123456789abcdef{}"), "stripe-signature", "v1=", hexed),
    "github": Case("github", TEXTS, "x-hub-signature-256", "sha256=", hexed),
    "shopify": Case("shopify", TEXTS, "x-shopify-hmac-sha256", "", based),
    "slack": Case("slack", three("0123456789abcdef0123456789abcde{}"), "x-slack-signature", "v0=", hexed),
    "twilio": Case("twilio", TEXTS, "x-twilio-signature", "", based),
    "mailgun": Case("mailgun", TEXTS, "body", '"signature":"', hexed),
    "mandrill": Case("mandrill", TEXTS, "x-mandrill-signature", "", based),
    "postmark by bearer": Case("postmark", TEXTS, "authorization", "Bearer ", plain),
    "brevo by Basic": Case("brevo", three("user:password-of-many-letters-{}"), "authorization", "Basic ", based),
    "brevo by its own header": Case(
        "brevo", TEXTS, "x-token", "", plain, ADAPTERS["brevo"].read_options({"credential_header": "X-Token"})
    ),
}


def wrong_proofs(right: bytes, *, any_length: bool) -> dict[str, bytes]:
    """Well formed, and wrong each in its own way."""
    flipped = {"first": bytes([right[0] ^ 1]) + right[1:], "last": right[:-1] + bytes([right[-1] ^ 1])}
    wrong = {"all of it": b"a" * len(right), **flipped}
    if any_length:  # an HMAC in hex has one length: any other is refused as malformed before a secret is looked at
        wrong |= {"one short": right[:-1], "one long": right + b"a", "one letter": b"a", "much too long": b"a" * 500}
    return wrong


def trace_of(case: Case, sent: Sent, keys: tuple[str, ...], *, refused_for: tuple[Reason, ...] = ()) -> Trace:
    """The lines of the second of two runs: the first fills caches. `refused_for` empty: it must be believed."""
    secrets = [secret(key) for key in keys]
    delivery = sent.delivery()
    for _ in range(2):
        with traced() as lines:
            try:
                case.adapter.verify(delivery, secrets=secrets, options=case.chosen, now_us=NOW_US)
                reason = None
            except Refused as refused:
                reason = refused.reason
    assert (reason in refused_for) if refused_for else (reason is None), reason
    assert len(lines) > 5
    return lines


WRONG = (Reason.WRONG_SIGNATURE, Reason.WRONG_CREDENTIAL)


@pytest.mark.parametrize("name", CASES)
def test_every_wrong_proof_runs_the_same_lines(name: str) -> None:
    case = CASES[name]
    sent = case.sent(case.keys[0])
    wrong = wrong_proofs(case.raw(sent), any_length=case.spelt is not hexed)
    traces = {
        what: trace_of(case, case.with_proof(sent, proof), case.keys, refused_for=WRONG)
        for what, proof in wrong.items()
    }
    first = traces["all of it"]
    assert {what: trace == first for what, trace in traces.items()} == dict.fromkeys(wrong, True)


@pytest.mark.parametrize("name", CASES)
def test_which_of_the_secrets_matches_does_not_show(name: str) -> None:
    case = CASES[name]
    traces = [trace_of(case, case.sent(key), case.keys) for key in case.keys]
    assert traces[0] == traces[1] == traces[2]
    orders = [case.keys, case.keys[::-1], (case.keys[1], case.keys[0], case.keys[2])]
    wrong = case.sent(case.keys[0] + "x" if case.spelt is not based or "whsec" not in case.keys[0] else whsec(9))
    refused = [trace_of(case, wrong, order, refused_for=WRONG) for order in orders]
    assert refused[0] == refused[1] == refused[2]


def test_every_scheme_with_a_shared_secret_is_traced() -> None:
    assert {case.scheme for case in CASES.values()} | PUBLIC_KEYS_ONLY == set(ADAPTERS)


def default_traces() -> dict[str, Trace]:
    """Of `default` as the environment makes it, with bearer and signature right or wrong."""
    known = environment_default(enabled=True)
    key = known.secrets[0].secret
    headers, body = generic.sign(BODY, secret=key, options=known.options, url="", now_us=NOW_US)
    right = Sent(headers=headers, body=body)
    wrong_signature = {"x-webhook-signature": "sha256=" + "0" * 64}
    combinations = {
        "bearer": {"authorization": "Bearer a"},
        "long bearer": {"authorization": "Bearer " + "a" * 300},
        "near bearer": {"authorization": right.lowered()["authorization"][:-1] + "~"},
        "signature": wrong_signature,
        "both": {"authorization": "Bearer a"} | wrong_signature,
    }
    traces = {}
    for what, changes in combinations.items():
        sent = replace(right, headers=right.lowered() | changes)
        with traced() as lines, pytest.raises(Refused):
            generic.verify(sent.delivery(), secrets=[key], options=known.options, now_us=NOW_US)
        traces[what] = lines
    return traces


def test_a_wrong_bearer_key_of_default_does_not_spare_the_signature_check() -> None:
    """That the whole key was right still shows in the lines after the comparison: no part of it ever does."""
    traces = default_traces()
    assert traces["bearer"] == traces["long bearer"] == traces["near bearer"]
    comparisons = {what: sum(name == "match_any" for name, _ in trace) for what, trace in traces.items()}
    assert comparisons["both"] == comparisons["bearer"] == comparisons["signature"] > 0


def test_a_wrong_basic_credential_of_mailgun_does_not_spare_the_signature_check() -> None:
    key, credential = Secret("key-0123456789abcdef", "a"), Secret("basic:hooks:password-for-tests", "b")
    case = CASES["mailgun"]
    sent = case.sent(key.value)
    reasons, traces = {}, {}
    for what, presented in (
        ("right", "hooks:password-for-tests"),
        ("wrong", "hooks:password-for-testS"),
        ("short", "a"),
    ):
        shown = sent.with_header("authorization", f"Basic {based(presented.encode())}")
        forged = case.with_proof(shown, bytes(32))
        for name, each in ((what, shown), (f"{what}, forged", forged)):
            with traced() as lines:
                try:
                    mailgun.verify(each.delivery(), secrets=[key, credential], options=mailgun.Options(), now_us=NOW_US)
                except Refused as refused:
                    reasons[name] = refused.reason
            traces[name] = lines
    assert reasons == {
        "right, forged": Reason.WRONG_SIGNATURE,
        "wrong": Reason.WRONG_CREDENTIAL,
        "wrong, forged": Reason.WRONG_SIGNATURE,
        "short": Reason.WRONG_CREDENTIAL,
        "short, forged": Reason.WRONG_SIGNATURE,
    }
    assert traces["right, forged"] == traces["wrong, forged"] == traces["short, forged"]
    assert traces["wrong"] == traces["short"]
