from typing import Any, override

from django.contrib.auth.management.commands import createsuperuser
from django.contrib.auth.models import User
from django.db import transaction

from console.actions.accounts import user_added
from evidence.audit import Actor


class Command(createsuperuser.Command):
    """Django's own, with an audit entry: the first superuser of a deployment is made here."""

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            known = set(User.objects.values_list("pk", flat=True))
            super().handle(*args, **options)
            for user in User.objects.exclude(pk__in=known):
                user_added(user, actor=Actor.command_line())
