"""The ingress's processes: one that loads everything and forks, and the workers that serve.

A worker that dies is replaced.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time

import uvloop
from django.conf import settings

from autocom.ingress.application import IngressApplication
from autocom.ingress.group_commit import GroupCommit
from autocom.ingress.http import Connections, HttpConnection
from autocom.kernel.memory import settle_memory
from autocom.processes import die_with_parent
from ingestion.housekeeping import Housekeeping
from ingestion.latency import RECORDER, process_name
from ingestion.provider_book import BOOK

BACKLOG_COUNT = 1_024
FINISH_SECONDS = 5.0
KILL_AFTER_SECONDS = 10.0
RESPAWN_PAUSE_SECONDS = 0.5
SWITCH_SECONDS = (
    0.000_5  # an ack takes the interpreter back from housekeeping this soon; Python's 5 ms would show in P99
)

log = logging.getLogger("autocom.ingress")


class Ingress:
    """The parent of `worker_count` workers. It serves nothing itself."""

    def __init__(self, *, host: str, port: int, worker_count: int) -> None:
        self._host, self._port, self._worker_count = host, port, worker_count
        self._workers: set[int] = set()
        self._is_stopping = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT; no worker is left then."""
        # bound here and never listening: the port is ours before the first worker runs, and a wrong one fails now
        with listening_socket(self._host, self._port):
            settle_memory()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._stop)
            while not self._is_stopping:
                while len(self._workers) < self._worker_count and not self._is_stopping:
                    self._fork()
                self._reap()
            self._end_workers()

    def _fork(self) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._workers.add(pid)
            return
        status = 1
        try:
            die_with_parent(parent=parent)
            Worker(host=self._host, port=self._port).run()
            status = 0
        except BaseException:
            log.exception("ingress_worker_crashed")
        finally:
            os._exit(status)  # the parent's clean-up is not the child's to run

    def _reap(self) -> None:
        """Waits for a worker to end, or a little while."""
        time.sleep(0.1)
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._workers.discard(pid)
            if not self._is_stopping:
                log.warning("ingress_worker_ended", extra={"worker": pid, "exit": os.waitstatus_to_exitcode(status)})
                time.sleep(RESPAWN_PAUSE_SECONDS)

    def _stop(self, *_: object) -> None:
        self._is_stopping = True

    def _end_workers(self) -> None:
        for pid in self._workers:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + KILL_AFTER_SECONDS
        while self._workers and time.monotonic() < deadline:
            self._reap()
        for pid in self._workers:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


class Worker:
    """One serving process."""

    def __init__(self, *, host: str, port: int) -> None:
        self._host, self._port = host, port

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)  # the parent's; asyncio sets its own below
        RECORDER.process = process_name("ingress")
        sys.setswitchinterval(SWITCH_SECONDS)
        uvloop.run(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        housekeeping = Housekeeping(book=BOOK, recorder=RECORDER, is_ingress=True)
        connections = Connections(IngressApplication(group=GroupCommit(settings.AUTOCOM.redis_url)))
        server = await loop.create_server(
            lambda: HttpConnection(connections), sock=listening_socket(self._host, self._port), backlog=BACKLOG_COUNT
        )
        housekeeping.start()
        await stop.wait()
        server.close()
        await connections.close(within_seconds=FINISH_SECONDS)
        await loop.run_in_executor(None, housekeeping.stop)


def listening_socket(host: str, port: int) -> socket.socket:
    """Bound, one for each process: the kernel spreads connections over those that listen. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
