from __future__ import annotations

import fcntl
import json
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections

from autocom.local_servers.errors import LocalServerError
from autocom.local_servers.servers import LocalServers
from autocom.supervisor import Child, Supervisor
from console.demonstration import create_demonstration_users
from console.roles import sync_roles
from evidence.audit import Actor
from evidence.configuration import record_start
from ingestion.management.with_examples import WithExamples
from ingestion.signed_curl import first_webhook

READY_WITHIN_SECONDS = 60


class Command(WithExamples):
    help = (
        "Start everything: local PostgreSQL and Valkey (unless DB_URL / REDIS_URL are set), ingress, console, workers, "
        "cron. Ctrl-C stops it all. Exit 0: stopped. 1: it cannot start, and why. 2: a setting is wrong."
    )
    examples = ("up",)
    requires_system_checks = ()

    def handle(self, **_: Any) -> None:
        environment = settings.AUTOCOM
        environment.data_dir.mkdir(parents=True, exist_ok=True)
        lock = self._only_one(environment.data_dir / "up.lock")
        for name in ("INGRESS_PORT", "CONSOLE_PORT"):
            _check_free(name, getattr(environment, name.lower()))
        # before anything is started: a Ctrl-C during the start must stop what is there so far
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        servers: LocalServers | None = None
        supervisor = Supervisor(children=self._children(), say=self._say)
        try:
            servers = self._local_servers()
            self._prepare_database()
            supervisor.start()
            self._wait_until_ready(supervisor)
            self._greet()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, supervisor.request_stop)
            supervisor.run(each_turn=servers.revive if servers else _nothing)
        except KeyboardInterrupt:
            pass
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half of it running
            self._say("stopping")
            supervisor.stop()
            connections.close_all()
            if servers:
                self._stop_servers(servers)
            lock.close()
            self._say("stopped")

    def _stop_servers(self, servers: LocalServers) -> None:
        try:
            servers.stop(adopted_too=True)
        except LocalServerError as error:
            self._say(f"a local server did not stop: {error}")

    def _only_one(self, path: Path) -> TextIO:
        lock = path.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"`manage.py up` runs already on {path.parent}: stop it first, "
                "or set AUTOCOM_DATA_DIR to another directory"
            ) from None
        return lock

    def _local_servers(self) -> LocalServers | None:
        environment = settings.AUTOCOM
        if not (environment.db_is_local or environment.redis_is_local):
            return None
        try:
            servers = LocalServers.start(
                environment.data_dir, postgres=environment.db_is_local, valkey=environment.redis_is_local
            )
        except LocalServerError as error:
            raise CommandError(str(error)) from None
        self._say(f"local servers run on {environment.data_dir}")
        return servers

    def _children(self) -> list[Child]:
        environment = settings.AUTOCOM
        logs = environment.data_dir / "logs"
        logs.mkdir(exist_ok=True)
        named = [
            ("ingress", ["ingress"]),
            ("console", ["console"]),
            ("autoscale", ["autoscale"]),  # runs the drain workers, and says what becomes of them
            ("ops worker", ["worker", "--queue", "ops"]),
            ("cron", ["cron"]),
        ]
        return [
            Child(name=name, args=args, log_path=logs / f"{name.replace(' ', '-')}.log", tells=name == "autoscale")
            for name, args in named
        ]

    def _prepare_database(self) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        sync_roles(actor=Actor.process("up"))
        if not record_start("up"):
            self._say("the configuration of this start could not be entered in the audit log")
        if not settings.AUTOCOM.is_local:
            return
        users = create_demonstration_users()
        if users:
            self._say("users of this first local run; the passwords are shown once:")
            for user in users:
                self.stdout.write(f"    {user.username:<14} {user.password:<24} {user.role}")

    def _wait_until_ready(self, supervisor: Supervisor) -> None:
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        waiting = [
            f"http://127.0.0.1:{settings.AUTOCOM.ingress_port}",
            f"http://127.0.0.1:{settings.AUTOCOM.console_port}",
        ]
        while waiting:
            if _answers(f"{waiting[0]}/readyz"):
                waiting.pop(0)
                continue
            ended = [child for child in supervisor.children if child.process and child.process.poll() is not None]
            if ended or time.monotonic() > deadline:
                what = f"{ended[0].name} ended" if ended else f"{waiting[0]}/readyz is not ready"
                tail = "\n".join((ended[0] if ended else supervisor.children[0]).log_path.read_text().splitlines()[-8:])
                raise CommandError(f"the start failed: {what}. Last lines of its log:\n{tail}")
            time.sleep(0.1)

    def _greet(self) -> None:
        environment = settings.AUTOCOM
        ingress, console = (f"http://127.0.0.1:{p}" for p in (environment.ingress_port, environment.console_port))
        self._say(f"console   {console}/admin/")
        self._say(f"webhooks  {ingress}/webhooks/default")
        self._say("send the first webhook with")
        self.stdout.write(first_webhook(ingress))
        self._say(f"logs are in {environment.data_dir / 'logs'}; Ctrl-C stops everything")
        sys.stdout.flush()

    def _say(self, sentence: str) -> None:
        self.stdout.write(f"autocom: {sentence}")
        self.stdout.flush()


def _check_free(name: str, port: int) -> None:
    """granian shares a port with whoever has it (SO_REUSEPORT): half of the requests would go to another service."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise CommandError(
                f"{name} {port} is in use by another process: stop it, or set {name} to a free port"
            ) from None


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310  (our own address)
            return bool(json.load(response)["status"] == "ready")
    except (OSError, ValueError, urllib.error.URLError):
        return False


def _nothing() -> Sequence[str]:
    return ()
