"""What forms that ask for a password show of the other way."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest

from console.shown import moment
from console.sign_in.openid import proof
from console.sign_in.openid.links import has_link


def in_place_of_password(request: HttpRequest) -> dict[str, object]:
    """For forms that ask for it: the issuer that can be asked instead, and until when its word is good."""
    until = proof.good_until(request)
    return {
        "provable_at": settings.OIDC_NAME if has_link(request.user, issuer=settings.OIDC_ISSUER) else "",
        "proven_until": moment(until) if until else "",
    }
