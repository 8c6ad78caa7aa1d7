import json as json_text
from argparse import ArgumentParser
from datetime import UTC, datetime

from console.management.provider.arguments import add_json
from console.management.provider.printing import say, say_json, secret_line, state_json
from ingestion.provider_changes.errors import ProviderMissing
from ingestion.provider_states import ProviderState, provider_states
from ingestion.receive import base_url

HELP = "Show one provider: address, options, and each secret's fingerprint, validity and last use."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")
    add_json(parser)


def run(*, name: str, json: bool, **_: object) -> int:
    state = _state(name)
    address = f"{base_url()}/webhooks/{name}"
    if json:
        say_json({**state_json(state), "url": address})
        return 0
    say(f"{name}  {state.scheme}  {'enabled' if state.enabled else 'disabled'}", f"  posts to {address}")
    if state.options:
        say(f"  options {json_text.dumps(state.options, ensure_ascii=False)}")
    say(*map(secret_line, state.secrets), *([f"  ! {state.problem}"] if state.problem else []))
    return 0


def _state(name: str) -> ProviderState:
    for state in provider_states(now=datetime.now(UTC)):
        if state.name == name:
            return state
    raise ProviderMissing(name)
