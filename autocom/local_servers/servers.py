"""Both local servers of a base directory: start, revive, stop."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

from autocom.local_servers import addresses
from autocom.local_servers.errors import LocalServerError
from autocom.local_servers.lock import BaseLock
from autocom.local_servers.postgres import PostgresServer
from autocom.local_servers.server import POLL_SECONDS, START_TIMEOUT, LocalServer, bring_up
from autocom.local_servers.site import Site, open_site
from autocom.local_servers.valkey import ValkeyServer

LOCK_TIMEOUT = timedelta(seconds=90)  # longer than a start may take
REVIVE_SECONDS = 1.0  # how long one revive() may wait for a server to come back
RETRY_FIRST_SECONDS = 1.0
RETRY_LONGEST_SECONDS = 30.0


@dataclass(slots=True, kw_only=True)
class Outage:
    """A server that died and is not back yet. Times are of the monotonic clock, in seconds."""

    since_seconds: float
    retry_at_seconds: float
    pause_seconds: float
    is_announced: bool = False


class LocalServers:
    """PostgreSQL, Valkey or both, running for one base directory. Use from one thread."""

    def __init__(self, *, site: Site, postgres: PostgresServer | None, valkey: ValkeyServer | None) -> None:
        self.site = site
        self.postgres = postgres
        self.valkey = valkey
        self.db_url = addresses.db_url(site.base)
        self.redis_url = addresses.redis_url(site.base)
        self._lock = BaseLock(site.base / "lock")
        self._outages: dict[str, Outage] = {}

    @classmethod
    def start(cls, base: Path, *, durable: bool = True, postgres: bool = True, valkey: bool = True) -> Self:
        """Afterwards the servers asked for answer: those that ran already are adopted, the others started.

        `durable=False` is for tests: PostgreSQL does not sync. Raises LocalServerError, what was started stopped again.
        """
        site = open_site(base, durable=durable)
        servers = cls(
            site=site,
            postgres=PostgresServer(site) if postgres else None,
            valkey=ValkeyServer(site) if valkey else None,
        )
        with servers._lock.held(within=LOCK_TIMEOUT):
            try:
                for server in servers.each():
                    server.prepare()
                bring_up(servers.each(), timeout=START_TIMEOUT)
            except BaseException:  # Ctrl-C too: nobody would be left to stop what was started
                servers.stop()
                raise
        return servers

    def each(self) -> Sequence[LocalServer]:
        return [server for server in (self.postgres, self.valkey) if server is not None]

    @property
    def is_reviving(self) -> bool:
        """True from the moment revive() saw a server dead until it saw it back."""
        return bool(self._outages)

    def revive(self) -> list[str]:
        """Restarts what died, adopted servers too, and says so: a sentence for each thing that happened.

        To be called about twice a second. Costs microseconds while all is well and about a second at most otherwise: a
        long recovery takes several calls. Never raises LocalServerError: a failed restart is told and tried again.
        """
        now = time.monotonic()
        for server in self.each():
            if server.title not in self._outages and not server.is_alive():
                self._outages[server.title] = Outage(
                    since_seconds=now, retry_at_seconds=now, pause_seconds=RETRY_FIRST_SECONDS
                )
        due = [server for server in self.each() if self._is_due(server)]
        if not due or not self._lock.try_take():  # whoever holds the lock is bringing them back
            return []
        try:
            return self._bring_back(due)
        finally:
            if not any(self._is_due(server) for server in due):
                self._lock.release()  # else kept: a server that is starting must not be started twice

    def stop(self, *, adopted_too: bool = False) -> None:
        """Afterwards the servers that this process started have ended, the adopted ones only with `adopted_too`.

        Raises LocalServerError for one that would not end; the other was stopped all the same.
        """
        trouble: list[LocalServerError] = []
        try:
            with self._lock.held(within=LOCK_TIMEOUT):
                trouble = self._stop_each(adopted_too=adopted_too)
        except LocalServerError:
            trouble = self._stop_each(adopted_too=False)  # ours are ours, whoever holds the lock
        finally:
            self._outages.clear()
            self._lock.release()
        if trouble:
            raise trouble[0]

    def _stop_each(self, *, adopted_too: bool) -> list[LocalServerError]:
        trouble = []
        for server in self.each():
            try:
                server.stop(adopted_too=adopted_too)
            except LocalServerError as error:
                trouble.append(error)
        return trouble

    def _is_due(self, server: LocalServer) -> bool:
        outage = self._outages.get(server.title)
        return outage is not None and outage.retry_at_seconds <= time.monotonic()

    def _bring_back(self, servers: Sequence[LocalServer]) -> list[str]:
        said: list[str] = []
        until = time.monotonic() + REVIVE_SECONDS
        waiting = list(servers)
        while waiting and time.monotonic() < until:
            for server in tuple(waiting):
                if (sentence := self._attempt(server)) is not None:
                    said.append(sentence)
                    waiting.remove(server)
            if waiting:
                time.sleep(POLL_SECONDS)
        return said + [self._announcement(server) for server in waiting if not self._outages[server.title].is_announced]

    def _attempt(self, server: LocalServer) -> str | None:
        """One step; a sentence when the outage is over or the step failed."""
        outage = self._outages[server.title]
        try:
            if not server.advance():
                return None
        except LocalServerError as error:
            outage.retry_at_seconds = time.monotonic() + outage.pause_seconds
            pause_seconds, outage.pause_seconds = (
                outage.pause_seconds,
                min(2 * outage.pause_seconds, RETRY_LONGEST_SECONDS),
            )
            return f"{server.title} has died and cannot be restarted, next try in {pause_seconds:.0f} s: {error}"
        del self._outages[server.title]
        took_seconds = time.monotonic() - outage.since_seconds
        by = ", restarted by another process" if server.adopted else ""
        return f"{server.title} had died and is back after {took_seconds:.1f} s{by}"

    def _announcement(self, server: LocalServer) -> str:
        self._outages[server.title].is_announced = True
        return f"{server.title} has died and is not back yet: {server.trouble}"
