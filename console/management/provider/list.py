from argparse import ArgumentParser
from datetime import UTC, datetime

from console.management.provider.arguments import add_json
from console.management.provider.printing import say, say_json, secret_line, state_json
from ingestion.provider_states import provider_states

HELP = "List the providers with their secrets' fingerprints, and when each was last used."


def add_arguments(parser: ArgumentParser) -> None:
    add_json(parser)


def run(*, json: bool, **_: object) -> int:
    states = provider_states(now=datetime.now(UTC))
    if json:
        say_json({"providers": [state_json(state) for state in states]})
        return 0
    for state in states:
        say(f"{state.name}  {state.scheme}  {'enabled' if state.enabled else 'disabled'}")
        say(*map(secret_line, state.secrets), *([f"  ! {state.problem}"] if state.problem else []))
    return 0
