from typing import Any, override

from django.contrib.auth.management.commands import createsuperuser
from django.contrib.auth.models import User
from django.db import transaction

from console.actions.accounts import user_added
from evidence.audit import Actor
from ingestion.management.with_examples import WithExamples


class Command(WithExamples, createsuperuser.Command):
    """Django's own, with an audit entry: the first superuser of a deployment is made here."""

    help = (
        "Make a superuser, with an entry in the audit log: the first account of a deployment. Exit 0: done. 1: refused."
    )
    examples = ("createsuperuser --username ann --email ann@example.com",)

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            known = set(User.objects.values_list("pk", flat=True))
            super().handle(*args, **options)
            for user in User.objects.exclude(pk__in=known):
                user_added(user, actor=Actor.command_line())
