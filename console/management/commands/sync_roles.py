"""`manage.py sync_roles`: gives every role exactly its permissions."""

from typing import override

from django.core.management.base import BaseCommand

from console.roles import sync_roles
from evidence.audit import Actor


class Command(BaseCommand):
    help = "Makes the roles' groups and gives each exactly its permissions. Safe to run again. Exit 0: done."

    @override
    def handle(self, *args: object, **options: object) -> None:
        for synced in sync_roles(actor=Actor.command_line()):
            what = "created" if synced.created else "kept"
            self.stdout.write(
                f"{synced.role.value}: {what}, {synced.added_count} permissions added, {synced.removed_count} removed"
            )
