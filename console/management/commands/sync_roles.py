"""`manage.py sync_roles`: gives every role exactly its permissions."""

from typing import override

from console.roles import sync_roles
from evidence.audit import Actor
from ingestion.management.with_examples import WithExamples


class Command(WithExamples):
    help = "Makes the roles' groups and gives each exactly its permissions. Safe to run again. Exit 0: done."
    examples = ("sync_roles",)

    @override
    def handle(self, *args: object, **options: object) -> None:
        for synced in sync_roles(actor=Actor.command_line()):
            what = "created" if synced.created else "kept"
            self.stdout.write(
                f"{synced.role.value}: {what}, {synced.added_count} permissions added, {synced.removed_count} removed"
            )
