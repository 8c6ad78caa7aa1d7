"""Users and groups. Only superusers change them: whoever may edit an account can make it a superuser's."""

from typing import Any, override

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from console.actions import accounts
from console.admin.recorded import RecordedChanges
from evidence.audit import Actor

admin.site.unregister(User)
admin.site.unregister(Group)
for theirs in (Authenticator, EmailAddress):  # allauth's: secrets, and addresses that nothing here uses
    admin.site.unregister(theirs)


class SuperusersChange:
    """Changes are for superusers; seeing takes the view permission."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002  (Django asks by object)
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return _is_superuser(request)


@admin.register(User)
class UserAdmin(SuperusersChange, RecordedChanges, DjangoUserAdmin, ModelAdmin):  # type: ignore[misc,type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "roles", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser", "groups")

    @override
    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups")

    @override
    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        with transaction.atomic():  # Django opens none here, and the change and its entry go together
            response: HttpResponse = super().user_change_password(request, id, form_url)
        return response

    @override
    def record_addition(self, row: User, *, actor: Actor) -> None:
        accounts.user_added(row, actor=actor)

    @override
    def record_change(self, row: User, *, actor: Actor, fields: list[str]) -> None:
        accounts.user_changed(row, actor=actor, fields=fields)

    @override
    def record_deletion(self, row: User, *, actor: Actor) -> None:
        accounts.user_deleted(row, actor=actor)

    @admin.display(description="Roles")
    def roles(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all()) or "none"


@admin.register(Group)
class GroupAdmin(SuperusersChange, RecordedChanges, DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]
    @override
    def record_addition(self, row: Group, *, actor: Actor) -> None:
        accounts.role_changed(row, actor=actor)

    @override
    def record_change(self, row: Group, *, actor: Actor, fields: list[str]) -> None:
        accounts.role_changed(row, actor=actor)

    @override
    def record_deletion(self, row: Group, *, actor: Actor) -> None:
        accounts.role_deleted(row, actor=actor)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_superuser)
