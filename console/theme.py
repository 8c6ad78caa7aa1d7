"""How the console looks: the settings of django-unfold. Imported by the project's settings, so it imports no models."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static

from console.navigation import account_links, sidebar


def _asset(path: str) -> Any:
    """A callable, because a hashed file name is known only once static files are set up."""

    def url(_request: HttpRequest) -> str:
        return static(path)

    return url


# primary-500 on the dark sidebar is 7.5:1, primary-600 on white 6.0:1; the theme's own purple fails both
PRIMARY = {
    "50": "oklch(97.5% .013 244)",
    "100": "oklch(94.5% .03 244)",
    "200": "oklch(89.5% .055 244)",
    "300": "oklch(83.5% .09 244)",
    "400": "oklch(78% .115 244)",
    "500": "oklch(73% .13 245)",
    "600": "oklch(50% .14 248)",
    "700": "oklch(44% .125 249)",
    "800": "oklch(38% .105 250)",
    "900": "oklch(32% .085 251)",
    "950": "oklch(25% .065 252)",
}

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "autocom",
    "SITE_HEADER": "autocom",
    "SITE_SYMBOL": "webhook",
    "SITE_URL": None,  # there is no site beside the console to view
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _asset("console/favicon.svg")}],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "SCRIPTS": [_asset("console/unfold-csp.js"), _asset("console/console.js")],
    "STYLES": [_asset("console/console.css")],
    "COLORS": {"primary": PRIMARY},
    "ACCOUNT": {"navigation": account_links},
    "COMMAND": {"search_models": False, "show_history": False},
    "SIDEBAR": {"show_search": True, "navigation": sidebar},
}
