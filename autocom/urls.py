"""What the console process and `manage.py runserver` serve: the console, and all that the ingress serves."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, path
from django.views.generic import RedirectView

from autocom import ingress_urls
from console.api.urls import urlpatterns as api_urls

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    *api_urls,
    *ingress_urls.urlpatterns,
]

handler403 = "console.denied.permission_denied"
