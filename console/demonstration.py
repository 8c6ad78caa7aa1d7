"""One user for each role, for a first look on a developer's machine. Never called where DB_URL is set."""

import secrets
from dataclasses import dataclass, field

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction

from console.actions.accounts import user_added
from console.roles import Role, sync_roles
from evidence.audit import Actor

PASSWORD_BYTES = 12
SUPERUSER = "admin"
FIRST_RUN = Actor.process("first run")
USERNAME_BY_ROLE = {
    Role.DRI: "dri",
    Role.PLATFORM_OPS: "ops",
    Role.LEADERSHIP: "leadership",
    Role.AUDITOR: "auditor",
}


@dataclass(frozen=True, slots=True)
class DemonstrationUser:
    """A user made just now. The password exists here and as a hash in the database, nowhere else."""

    username: str
    password: str = field(repr=False)
    role: str


def create_demonstration_users() -> list[DemonstrationUser]:
    """Every role has a user afterwards, and there is a superuser. Returns those made now, no others."""
    sync_roles()
    taken = set(get_user_model().objects.values_list("username", flat=True))
    with transaction.atomic():
        made = [_create(username, role=role) for role, username in USERNAME_BY_ROLE.items() if username not in taken]
        if SUPERUSER not in taken:
            made.insert(0, _create_superuser())
    return made


def _create(username: str, *, role: Role) -> DemonstrationUser:
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    user = get_user_model().objects.create_user(username=username, password=password, is_staff=True)
    user.groups.add(Group.objects.get(name=role.value))
    user_added(user, actor=FIRST_RUN)
    return DemonstrationUser(username, password, role.value)


def _create_superuser() -> DemonstrationUser:
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    user_added(get_user_model().objects.create_superuser(username=SUPERUSER, password=password), actor=FIRST_RUN)
    return DemonstrationUser(SUPERUSER, password, "superuser")
