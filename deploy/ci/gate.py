#!/usr/bin/env python3
"""A pipeline's gate: reads a gate's verdict by autocom's API and ends with it. Python's standard library, nothing else.

    AUTOCOM_TOKEN=acst_... python3 gate.py --url https://autocom.example.com --gate a

The token is a service token with the scope operations:read or evidence:read; it is read from the environment, so that
no list of processes shows it, and nothing of it is printed. With --start a run is made first, and its bundle, and no
other, is what is judged; that takes the scopes replays:write, evidence:export and evidence:read.

Exit 0: PASS, by a bundle that was judged by the frozen specification of the running code and is young enough. 1: FAIL.
2: wrong usage. 3: INCONCLUSIVE, or it cannot be told: no bundle, too old, another specification, no answer. A pipeline
that goes on at anything but 0 goes on without a gate.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from datetime import datetime, timedelta, timezone

PASS, FAIL, WRONG_USAGE, CANNOT_TELL = 0, 1, 2, 3
TRIES, TIMEOUT_SECONDS, WAIT_LIMIT_SECONDS = 3, 30, 60
POLL_SECONDS = 5


class NotMade(Exception):
    """There is no bundle of the run that was started; the message says why."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """The token goes to the address that was given and to no other."""

    def redirect_request(self, *_: object) -> None:
        return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=os.environ.get("AUTOCOM_URL", ""), help="of the console; default: AUTOCOM_URL")
    parser.add_argument("--gate", default="a")
    parser.add_argument("--max-age-hours", type=float, default=24.0, help="of the bundle; 24 is the default")
    parser.add_argument("--run", default="", help="the bundle must be of this run")
    parser.add_argument("--start", metavar="WHY", default="", help="make a run first; the audit log keeps the reason")
    parser.add_argument("--count", type=int, default=30_000, help="sends of that run")
    parser.add_argument("--rate", type=int, default=1_000, help="its sends a second")
    parser.add_argument(
        "--wait-minutes", type=float, default=60.0, help="for its end and its bundle; then it is cancelled"
    )
    asked = parser.parse_args()
    token = os.environ.get("AUTOCOM_TOKEN", "").strip()
    if not asked.url.startswith(("http://", "https://")) or not token:
        parser.error("give --url (or AUTOCOM_URL) and the environment variable AUTOCOM_TOKEN")
    base = f"{asked.url.rstrip('/')}/api/v1/gates/{asked.gate}"
    try:
        if asked.start:
            asked.run = made_run(asked, f"{asked.url.rstrip('/')}/api/v1", token)
        gate, verdict = ask(base, token), ask(f"{base}/verdict", token)
    except NotMade as error:
        return say(CANNOT_TELL, f"INCONCLUSIVE: {error}")
    except OSError as error:
        return say(CANNOT_TELL, f"INCONCLUSIVE: {base} cannot be asked: {reason(error)}")
    doubt = why_it_says_nothing(asked, gate, verdict)
    if verdict["verdict"] == "FAIL":
        return say(FAIL, f"FAIL: run {verdict['run_id']}", verdict)
    if doubt or verdict["verdict"] != "PASS":
        return say(CANNOT_TELL, f"INCONCLUSIVE: {doubt or verdict['trouble'] or 'not everything is known'}", verdict)
    return say(PASS, f"PASS: run {verdict['run_id']}, bundle {verdict['sha256']}")


def made_run(asked: argparse.Namespace, api: str, token: str) -> str:
    """The id of a run that ended and has its bundle. Raises NotMade and OSError."""
    until = time.monotonic() + asked.wait_minutes * 60
    plan = {"reason": asked.start, "gate": asked.gate, "count": asked.count, "rate": asked.rate}
    run_id = ask(f"{api}/replays/", token, plan)["run_id"]
    sys.stdout.write(f"run {run_id} is asked for\n")
    settled(f"{api}/replays/{run_id}", token, f"run {run_id}", until=until)
    order = ask(f"{api}/bundles/orders/", token, {"run_id": run_id, "gate": asked.gate})
    settled(f"{api}/bundles/orders/{order['number']}", token, f"the bundle of run {run_id}", until=until)
    return run_id


def settled(address: str, token: str, what: str, *, until: float) -> None:
    """Waits. What is not done by then is cancelled: it would stand in the next pipeline's way. Raises as `made_run`."""
    while True:
        told = ask(address, token)
        order = told.get("order") or told
        if order["state"] not in ("waiting", "running"):
            break
        if time.monotonic() > until:
            ask(f"{address}/cancel", token, {})
            raise NotMade(f"{what} was {order['state']} when the time was over, and is cancelled")
        time.sleep(POLL_SECONDS)
    if order["state"] != "done":
        raise NotMade(f"{what} is {order['state']}: {order['why']}")


def why_it_says_nothing(asked: argparse.Namespace, gate: dict, verdict: dict) -> str:
    """Empty where a PASS of it is a PASS of what runs now."""
    bundle = gate["newest_bundle"]
    if bundle is None:
        return "no bundle has been made for this gate"
    if not verdict["holds"]:
        return "the specification that it was judged by is not the frozen one of the running code"
    if asked.run and bundle["run_id"] != asked.run:
        return f"the newest bundle is of run {bundle['run_id']}, not of {asked.run}"
    made_at = datetime.fromisoformat(bundle["made_at"].replace("Z", "+00:00"))  # noqa: FURB162  (3.9 too)
    if datetime.now(timezone.utc) - made_at > timedelta(hours=asked.max_age_hours):  # noqa: UP017  (3.9 too)
        return f"the newest bundle was made at {bundle['made_at']}, more than {asked.max_age_hours:g} hours ago"
    return ""


def ask(address: str, token: str, body: dict | None = None) -> dict:
    """A POST where there is a body, done once however often it is sent. Raises OSError. A service that is busy is asked
    again."""
    headers = {"Authorization": f"Bearer {token}"}
    if body is not None:
        headers.update({"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data=data, headers=headers)  # noqa: S310  (checked)
    opener = urllib.request.build_opener(NoRedirect)
    for tries_left in range(TRIES - 1, -1, -1):
        try:
            with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503) or not tries_left:
                raise
            after = error.headers.get("Retry-After", "")
            time.sleep(min(int(after) if after.isdigit() else 5, WAIT_LIMIT_SECONDS))
    raise AssertionError("not reached")


def reason(error: OSError) -> str:
    """A problem's own words, where the API said them."""
    if not isinstance(error, urllib.error.HTTPError):
        return str(getattr(error, "reason", error))
    try:
        problem = json.loads(error.read())
        return f"{error.code} {problem['code']}: {problem['detail']}"
    except (ValueError, KeyError, OSError):
        return f"it answers {error.code}"


def say(status: int, line: str, verdict: dict | None = None) -> int:
    sys.stdout.write(f"{line}\n")
    for each in (verdict or {}).get("criteria", []):
        if each.get("outcome") != "PASS":
            sys.stdout.write(f"  {each.get('outcome')}: {each.get('name')}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
