"""Who may pass: the guard of a console page, and the answer to a poll whose session has ended."""

from typing import Any, ClassVar, override
from urllib.parse import urlencode, urlsplit

from django.contrib.admin import AdminSite
from django.contrib.auth.mixins import PermissionRequiredMixin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.generic import TemplateView

from console.access import Permission
from console.row_rights import may

STOP_POLLING = 286  # what htmx takes for an answer, and for the last one


class GuardedPage(PermissionRequiredMixin, TemplateView):
    """A page for those who hold its permission; everybody else is answered 403. Sign-in is the site's business.

    `raise_exception`, because the default sends a signed-in user to the login page, which sends them back.
    """

    permission: ClassVar[Permission]
    on_row: ClassVar[Permission | None] = None  # opens it as well: see has_right_on_row
    raise_exception = True
    http_method_names = ["get", "head", "options"]

    @override
    def get_permission_required(self) -> tuple[str, ...]:
        return (self.permission.value,)

    @override
    def has_permission(self) -> bool:
        if super().has_permission():
            return True
        return self.on_row is not None and self.has_right_on_row(self.on_row)

    def has_right_on_row(self, on_row: Permission) -> bool:
        """For a page with `on_row`: whether this user holds it on what the page shows. Nobody does by default."""
        del on_row
        return False

    @override
    def handle_no_permission(self) -> Any:
        raise PermissionDenied(self.permission.value)


class StaffPage(TemplateView):
    """A page about whoever asks: for everybody who may sign in, which is the site's business."""

    http_method_names = ["get", "head", "options"]
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        return {**self.site.each_context(self.request), **super().get_context_data(**kwargs)}


def refuse_without(
    request: HttpRequest, permission: Permission, *, row: Model | None = None, on_row: Permission | None = None
) -> None:
    """For a page of a model that is no list or detail. Raises PermissionDenied."""
    if not may(request.user, permission, row, on_row=on_row):
        raise PermissionDenied(permission.value)


def is_poll(request: HttpRequest) -> bool:
    """True for requests that htmx makes, whose answer would be put into a page."""
    return request.headers.get("HX-Request") == "true"


def send_to_login(request: HttpRequest) -> HttpResponse:
    """401 that makes htmx leave the page for the login form, which leads back to where the user was.

    A redirect would be followed by the browser, and the login form would land inside a card. Only path and query of the
    page's address are used: the header comes from the client, and its host could be anybody's.
    """
    page = urlsplit(request.headers.get("HX-Current-URL", ""))
    path = page.path if page.path.startswith("/") and not page.path.startswith("//") else reverse("admin:index")
    back = f"{path}?{page.query}" if page.query else path
    return HttpResponse(status=401, headers={"HX-Redirect": f"{reverse('admin:login')}?{urlencode({'next': back})}"})
