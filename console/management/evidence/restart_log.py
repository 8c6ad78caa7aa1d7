from argparse import ArgumentParser

from console.management.errors import UsageWrong
from console.management.provider.printing import say
from evidence.audit import Actor
from evidence.log.names import LogName
from evidence.log.sealer import begin_anew

HELP = (
    "Begin a log anew under another origin, after an older backup of the database was restored. What was sealed and"
    " lost stays a finding; the new log's first leaf names the last head that is left. See docs/operate.md first."
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("log", choices=[log.value for log in LogName])
    parser.add_argument("--reason", required=True, help="why; it is in the audit log for ever")
    parser.add_argument("--actor", metavar="NAME", help="whose name goes into the audit log (default: yours)")


def run(*, log: str, reason: str, actor: str | None, **_: object) -> int:
    if not reason.strip():
        raise UsageWrong("--reason is empty: say why the log begins anew")
    incarnation = begin_anew(LogName(log), actor=Actor.command_line(actor), reason=reason)
    say(f"the log begins anew as {incarnation.origin}", f"its first leaf: {incarnation.start_line}")
    return 0
