import getpass
from typing import Any, override

from django.contrib.auth.management.commands import changepassword
from django.contrib.auth.models import User
from django.db import transaction

from console.actions.accounts import user_changed
from evidence.audit import Actor
from ingestion.management.with_examples import WithExamples


class Command(WithExamples, changepassword.Command):
    """Django's own, with an audit entry."""

    help = "Change a user's password, with an entry in the audit log. Exit 0: done. 1: refused, nothing changed."
    examples = ("changepassword ann",)

    @override
    def handle(self, *args: Any, **options: Any) -> str | None:
        options["username"] = options["username"] or getpass.getuser()
        with transaction.atomic():
            told = super().handle(*args, **options)
            user = User.objects.get(username=options["username"])
            user_changed(user, actor=Actor.command_line(), fields=["password"])
        return told
