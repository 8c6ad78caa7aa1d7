from argparse import ArgumentParser

from console.management.provider.printing import say
from evidence.log.files import republish
from evidence.models import LogIncarnation

HELP = "Write the files of the sealed logs that are missing again, from the rows. Nothing that is there is touched."


def add_arguments(parser: ArgumentParser) -> None:
    pass


def run(**_: object) -> int:
    for incarnation in LogIncarnation.objects.order_by("id"):
        say(f"{incarnation.origin}: {republish(incarnation)} files written")
    return 0
