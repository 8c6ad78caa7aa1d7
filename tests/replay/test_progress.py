"""What a person sees while a replay runs."""

import io
from typing import override

from ingestion.replay.progress import ProgressLine, bar, describe
from ingestion.replay.run import Progress

HALF = Progress(
    planned=30_000, sent=15_000, acked=14_990, rejected=3, retried=2, p50_us=1_250, p95_us=3_400, p99_us=None
)


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_line_redrawn_with_a_bar_and_live_percentiles() -> None:
    terminal = Terminal()
    line = ProgressLine(terminal)
    line(HALF)
    line(HALF)
    line.end()
    assert terminal.getvalue().count("\n") == 1
    assert terminal.getvalue().count("\r") == 2
    assert "P50 1.2 P95 3.4 ms" in terminal.getvalue()


def test_the_bar_is_half_full_at_half_the_plan_and_never_overflows() -> None:
    assert bar(HALF).count("#") == bar(HALF).count(".")
    assert bar(Progress(planned=0, sent=0, acked=0, rejected=0, retried=0, p50_us=None, p95_us=None, p99_us=None))


def test_where_there_is_no_terminal_nothing_is_redrawn() -> None:
    plain = io.StringIO()
    ProgressLine(plain)(HALF)
    assert plain.getvalue() == ""
    assert describe(HALF) == ("15,000 of 30,000 sent, 14,990 acked, 3 rejected, 2 tried again; ack P50 1.2 P95 3.4 ms")
