"""What the operating system says about a process that is not our child."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
STARTED_FIELD = 19  # "starttime", counted from the state, which follows the parenthesised name


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process at one moment. The pid and `started` together name it for good; a pid alone is used again."""

    pid: int
    started: str
    is_zombie: bool
    command: str
    cwd: Path | None  # None when we may not know


def observe(pid: int) -> Process | None:
    """The process with this pid as it is now; None when there is none."""
    if pid <= 0:
        return None
    return _from_proc(pid) if (PROC / "self" / "stat").exists() else _from_ps(pid)


def is_same_and_alive(process: Process) -> bool:
    """True while that very process runs: not another one that got its pid, and no zombie."""
    now = observe(process.pid)
    return now is not None and now.started == process.started and not now.is_zombie


def _from_proc(pid: int) -> Process | None:
    try:
        stat = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    head, _, tail = stat.rpartition(")")  # the name may itself hold blanks and parentheses
    fields = tail.split()
    try:
        cwd = (PROC / str(pid) / "cwd").readlink()
    except OSError:
        cwd = None
    return Process(
        pid=pid,
        started=fields[STARTED_FIELD],
        is_zombie=fields[0] in "ZX",
        command=head.partition("(")[2],
        cwd=cwd,
    )


def _from_ps(pid: int) -> Process | None:
    """For macOS, which has no /proc."""
    done = subprocess.run(
        ["/bin/ps", "-o", "stat=,lstart=,comm=", "-p", str(pid)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={"LC_ALL": "C"},
    )
    words = done.stdout.split(maxsplit=6)  # state, five words of date, command
    if len(words) < 7:
        return None
    return Process(
        pid=pid,
        started=" ".join(words[1:6]),
        is_zombie=words[0].startswith("Z"),
        command=Path(words[6].strip()).name,
        cwd=None,
    )
