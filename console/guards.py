"""Who may pass: the guard of a console page, and the answer to a poll whose session has ended."""

from typing import Any, ClassVar, override
from urllib.parse import urlencode, urlsplit

from django.contrib.auth.mixins import PermissionRequiredMixin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.generic import TemplateView

from console.access import Permission

STOP_POLLING = 286  # what htmx takes for an answer, and for the last one


class GuardedPage(PermissionRequiredMixin, TemplateView):
    """A page for those who hold its permission; everybody else is answered 403. Sign-in is the site's business.

    `raise_exception`, because the default sends a signed-in user to the login page, which sends them back.
    """

    permission: ClassVar[Permission]
    raise_exception = True
    http_method_names = ["get", "head", "options"]

    @override
    def get_permission_required(self) -> tuple[str, ...]:
        return (self.permission.value,)

    @override
    def handle_no_permission(self) -> Any:
        raise PermissionDenied(self.permission.value)


def refuse_without(request: HttpRequest, permission: Permission) -> None:
    """For a page of a model that is no list or detail. Raises PermissionDenied."""
    if not request.user.has_perm(permission):
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
