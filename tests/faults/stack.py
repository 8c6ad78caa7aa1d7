"""The service under trial: the processes that `manage.py up` runs, but for the console, on servers of their own.

A thread does what `up` does: it starts again what ended and revives a server that died.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
import redis

from autocom.kernel.signing_keys import new_signing_key
from autocom.local_servers import addresses
from autocom.local_servers.servers import LocalServers
from autocom.supervisor import MANAGE, POLL_SECONDS, Child, Supervisor
from ingestion.buffer import keys
from tests.faults.proxy import Proxy
from tests.faults.volume import Volume
from tests.support.ingress import free_port

INJECTED = Path(__file__).resolve().parent / "injected"
LANES = 4
PATIENCE_SECONDS = 90.0
VOLUME_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """What one trial's service has that another's has not."""

    bug: str = ""
    has_proxies: bool = False
    has_volumes: bool = False
    appendfsync: str = "always"
    has_unique_identity: bool = True
    lane_bound_count: int = 100_000
    redis_bytes: int = 0  # maxmemory; 0: none


@dataclass(eq=False)
class Stack:
    """A running service. Everything here may be killed, stopped or cut off by a scenario."""

    options: StackOptions
    base: Path
    orders: Path
    environ: dict[str, str]
    postgres: LocalServers
    valkey: LocalServers
    supervisor: Supervisor
    volumes: dict[str, Volume] = field(default_factory=dict)
    proxies: dict[str, Proxy] = field(default_factory=dict)
    may_revive: threading.Event = field(default_factory=threading.Event)
    said: list[str] = field(default_factory=list)
    attendant: threading.Thread | None = None

    @property
    def is_attended(self) -> bool:
        """False once the supervision itself has crashed."""
        return self.attendant is not None and self.attendant.is_alive()

    # -- addresses

    @property
    def ingress_port(self) -> int:
        return int(self.environ["INGRESS_PORT"])

    @property
    def target(self) -> str:
        port = self.proxies["ingress"].port if "ingress" in self.proxies else self.ingress_port
        return f"http://127.0.0.1:{port}"

    def redis(self) -> redis.Redis:
        """A client of the suite's own, past every proxy."""
        return redis.Redis.from_url(self.valkey.redis_url, socket_timeout=10)

    def sql(self) -> psycopg.Connection:
        """A connection of the suite's own, past every proxy."""
        return psycopg.connect(self.postgres.db_url, autocommit=True, connect_timeout=5)

    # -- processes

    @property
    def redis_pid(self) -> int:
        assert self.valkey.valkey is not None
        return _pid(self.valkey.valkey.pid)

    @property
    def postmaster_pid(self) -> int:
        assert self.postgres.postgres is not None
        return _pid(self.postgres.postgres.pid)

    def child(self, name: str) -> Child:
        return next(child for child in self.supervisor.children if child.name == name)

    def pids(self, name: str) -> list[int]:
        """Of the children whose name begins so, those that live."""
        found = [child.process for child in self.supervisor.children if child.name.startswith(name)]
        return [process.pid for process in found if process is not None and process.poll() is None]

    def ingress_workers(self) -> list[int]:
        """The processes that serve, not the one that minds them."""
        return [
            each.pid
            for pid in self.pids("ingress")
            for each in psutil.Process(pid).children()
            if "resource_tracker" not in " ".join(each.cmdline())
        ]

    def depth(self) -> int:
        """Entries on all lanes: accepted and not yet trimmed."""
        with self.redis() as client:
            return sum(int(client.xlen(keys.stream(lane))) for lane in range(LANES))

    @contextmanager
    def stopped(self, pids: Iterable[int]) -> Iterator[None]:
        """They are there and do nothing."""
        held = list(pids)
        for pid in held:
            _signal(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in held:
                _signal(pid, signal.SIGCONT)

    def kill(self, pids: Iterable[int]) -> None:
        for pid in list(pids):
            _signal(pid, signal.SIGKILL)

    # -- points

    def order(self, point: str, what: str) -> None:
        """The first process that comes by the point does it to itself: `kill` or `stop`."""
        new = self.orders / f"new-{point}"
        new.write_text(what)
        new.replace(self.orders / f"at-{point}")

    def struck(self, point: str, *, within_seconds: float) -> int:
        """The pid of the process that did. Raises TimeoutError when none came by."""
        path = self.orders / f"struck-{point}"
        deadline = time.monotonic() + within_seconds
        while time.monotonic() < deadline:
            if path.exists() and (text := path.read_text()):
                path.unlink()
                return int(text)
            time.sleep(0.01)
        (self.orders / f"at-{point}").unlink(missing_ok=True)
        raise TimeoutError(f"no process came by the point {point}")

    @contextmanager
    def clock_off_by(self, seconds: float, *, of: str) -> Iterator[None]:
        path = self.orders / f"clock-{of}"
        path.write_text(str(seconds))
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    # -- waiting

    def wait_until_ready(self) -> None:
        """Every child runs and /readyz says so. Raises TimeoutError with the end of the logs."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if all(child.process and child.process.poll() is None for child in self.supervisor.children) and _answers(
                f"http://127.0.0.1:{self.ingress_port}/readyz"
            ):
                return
            time.sleep(0.1)
        raise TimeoutError(f"the service is not ready; {self.said[-3:]}; {self.logs()}")

    def wait_until_empty(self, *, limit_seconds: float) -> bool:
        """True once no lane holds an entry."""
        deadline = time.monotonic() + limit_seconds
        while time.monotonic() < deadline:
            try:
                if self.depth() == 0:
                    return True
            except redis.RedisError:
                pass
            time.sleep(0.05)
        return False

    def logs(self) -> str:
        return "\n".join(
            f"{child.name}: {child.log_path.read_text(errors='replace')[-600:]}"
            for child in self.supervisor.children
            if child.log_path.exists()
        )


@contextmanager
def running_stack(options: StackOptions) -> Iterator[Stack]:
    """Ready when entered, gone without a trace afterwards. Raises VolumeUnavailable, LocalServerError, TimeoutError."""
    base = Path(tempfile.mkdtemp(prefix="autocom-faults-"))
    base.chmod(0o755)  # the servers' own user must get through
    volumes: dict[str, Volume] = {}
    proxies: dict[str, Proxy] = {}
    started: list[LocalServers] = []
    try:
        if options.has_volumes:
            volumes = _volumes(base)
        postgres = LocalServers.start(base / "pg", valkey=False)
        started.append(postgres)
        valkey = LocalServers.start(base / "redis", postgres=False)
        started.append(valkey)
        _tune(valkey, options)
        if options.has_proxies:
            proxies = _proxies(base)
        stack = _assemble(options, base=base, postgres=postgres, valkey=valkey, volumes=volumes, proxies=proxies)
        with _attended(stack):
            stack.wait_until_ready()
            yield stack
    finally:
        for server in started:
            server.stop()
        for proxy in proxies.values():
            proxy.stop()
        for volume in volumes.values():
            volume.destroy()
        shutil.rmtree(base, ignore_errors=True)


def _volumes(base: Path) -> dict[str, Volume]:
    """PostgreSQL's whole base and Valkey's data directory, each on a volume of its own."""
    (base / "redis").mkdir()
    (base / "redis").chmod(0o755)
    found = {
        "pg": Volume.make(base / "pg", image=base / "pg.image", size_bytes=VOLUME_BYTES),
        "redis": Volume.make(base / "redis" / "valkey9", image=base / "redis.image", size_bytes=VOLUME_BYTES // 4),
    }
    (base / "pg").chmod(0o755)
    return found


def _proxies(base: Path) -> dict[str, Proxy]:
    """One for each link. The senders' way to the ingress gets its port when that is known."""
    redis_socket = str(addresses.valkey_socket(addresses.run_dir(base / "redis")))
    found = {
        "ingress-redis": Proxy(redis_socket),
        "worker-redis": Proxy(redis_socket),
        "worker-postgres": Proxy(str(addresses.postgres_socket(addresses.run_dir(base / "pg")))),
        "ingress": Proxy(("127.0.0.1", 0)),
    }
    for proxy in found.values():
        proxy.start()
    return found


def _tune(valkey: LocalServers, options: StackOptions) -> None:
    with redis.Redis.from_url(valkey.redis_url) as client:
        client.config_set("appendfsync", options.appendfsync)
        if options.redis_bytes:
            client.config_set("maxmemory", options.redis_bytes)


def _assemble(
    options: StackOptions,
    *,
    base: Path,
    postgres: LocalServers,
    valkey: LocalServers,
    volumes: dict[str, Volume],
    proxies: dict[str, Proxy],
) -> Stack:
    orders = base / "orders"
    orders.mkdir()
    port = free_port()
    environ = {
        "AUTOCOM_DATA_DIR": str(base / "data"),
        "EVIDENCE_ROOT": str(base / "evidence"),
        "LOG_SIGNING_KEY": new_signing_key(),
        "AUTOCOM_FAULTS_DIR": str(orders),
        "AUTOCOM_FAULTS_BUG": options.bug,
        "DB_URL": postgres.db_url,
        "REDIS_URL": valkey.redis_url,
        "SECRET_KEY": secrets.token_hex(32),
        "WEBHOOK_BEARER_KEY": secrets.token_hex(32),
        "WEBHOOK_HMAC_SECRET": secrets.token_hex(32),
        "INGRESS_PORT": str(port),
        "LANES": str(LANES),
        "LANE_BOUND": str(options.lane_bound_count),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(INJECTED), os.environ.get("PYTHONPATH", "")])),
        "DJANGO_SETTINGS_MODULE": "autocom.settings",
    }
    (base / "data").mkdir()
    unsigned = environ | {"LOG_SIGNING_KEY": ""}  # only the sealer has the key
    of_ingress, of_worker = dict(unsigned), dict(unsigned)
    if proxies:
        proxies["ingress"].upstream = ("127.0.0.1", port)
        of_ingress["REDIS_URL"] = f"redis://127.0.0.1:{proxies['ingress-redis'].port}/0"
        of_worker["REDIS_URL"] = f"redis://127.0.0.1:{proxies['worker-redis'].port}/0"
        of_worker["DB_URL"] = f"postgresql://app@127.0.0.1:{proxies['worker-postgres'].port}/app"
    children = [
        Child(name=name, args=args, log_path=base / f"{name.replace(' ', '-')}.log", environ=its_environ)
        for name, args, its_environ in (
            ("ingress", ["ingress"], of_ingress),
            ("worker 1", ["worker"], of_worker),
            ("worker 2", ["worker"], of_worker),
            ("ops worker", ["worker", "--queue", "ops"], environ),
            ("cron", ["cron"], environ),
        )
    ]
    said: list[str] = []
    stack = Stack(
        options=options,
        base=base,
        orders=orders,
        environ=environ,
        postgres=postgres,
        valkey=valkey,
        supervisor=Supervisor(children=children, say=said.append),
        volumes=volumes,
        proxies=proxies,
        said=said,
    )
    _migrate(stack)
    return stack


def _migrate(stack: Stack) -> None:
    migrate = Child(name="migrate", args=["migrate", "-v", "0"], log_path=stack.base / "migrate.log")
    migrate.environ = stack.environ
    migrate.start()
    assert migrate.process is not None
    if migrate.process.wait(PATIENCE_SECONDS):
        raise RuntimeError(migrate.log_path.read_text())
    with stack.sql() as connection:
        connection.execute(WATCH_LANES)
        if not stack.options.has_unique_identity:
            connection.execute("ALTER TABLE ingestion_event DROP CONSTRAINT event_identity_once")


# What a lane's row must never do; the suite looks at the table afterwards. Part of the suite, not of the service.
WATCH_LANES = """
CREATE TABLE faults_lane_went_back (lane int, told text, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION faults_watch_lane() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.epoch < OLD.epoch THEN
    INSERT INTO faults_lane_went_back (lane, told) VALUES (OLD.number, format('epoch %s to %s', OLD.epoch, NEW.epoch));
  ELSIF NEW.epoch = OLD.epoch AND NEW.fence < OLD.fence THEN
    INSERT INTO faults_lane_went_back (lane, told) VALUES (OLD.number, format('fence %s to %s', OLD.fence, NEW.fence));
  ELSIF NEW.epoch = OLD.epoch AND NEW.cursor < OLD.cursor THEN
    INSERT INTO faults_lane_went_back (lane, told)
      VALUES (OLD.number, format('cursor %s to %s', OLD.cursor, NEW.cursor));
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER faults_watch_lane BEFORE UPDATE ON ingestion_lane FOR EACH ROW EXECUTE FUNCTION faults_watch_lane();
"""


@contextmanager
def _attended(stack: Stack) -> Iterator[None]:
    """Somebody minds the processes and the servers, as `up` does, until the block ends; then the processes end."""
    stack.may_revive.set()

    def each_turn() -> Sequence[str]:
        if not stack.may_revive.is_set():
            return ()
        return [*stack.postgres.revive(), *stack.valkey.revive()]

    stack.supervisor.start()
    attendant = threading.Thread(target=stack.supervisor.run, kwargs={"each_turn": each_turn}, daemon=True)
    stack.attendant = attendant
    attendant.start()
    try:
        yield
    finally:
        stack.supervisor.request_stop()
        attendant.join(10 * POLL_SECONDS + 5)
        for child in stack.supervisor.children:  # one that was left stopped could not end in order
            if child.process is not None and child.process.poll() is None:
                _signal(child.process.pid, signal.SIGCONT)
        stack.supervisor.stop()


def manage(stack: Stack, *words: str) -> Child:
    """`manage.py <words>` beside the service, started; its log is in the stack's folder."""
    child = Child(name=words[0], args=words, log_path=stack.base / f"{words[0]}-{secrets.token_hex(3)}.log")
    child.environ = stack.environ
    child.start()
    return child


def _pid(found: int | None) -> int:
    assert found is not None, "the server is not running"
    return found


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  (our own ingress)
            return bool(answer.status == 200)
    except OSError:
        return False


__all__ = ["MANAGE", "Stack", "StackOptions", "manage", "running_stack"]
