"""django-anymail as a judge: its webhook views decide over a request of Django's, without a URL or a database."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.test import RequestFactory

from tests.providers.requests import Sent

if not settings.configured and "DJANGO_SETTINGS_MODULE" not in os.environ:
    settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="tests only")  # these tests alone, without the project


def anymail_accepts(view: Any, sent: Sent, **view_options: str) -> bool:
    """The view's verdict; an exception of any kind is a refusal."""
    headers = sent.lowered()
    request = RequestFactory().generic(
        "POST",
        "/webhooks/p",
        data=sent.body,
        content_type=headers.pop("content-type", ""),
        headers=headers,
    )
    instance = view(**view_options)
    try:
        instance.run_validators(request)
    except Exception:  # noqa: BLE001  (besides its own refusals it lets out TypeError, UnicodeEncodeError and others)
        return False
    return True


def anymail_reads(view: Any, sent: Sent, **view_options: str) -> list[Any]:
    """The events that the view reads from a request."""
    headers = sent.lowered()
    request = RequestFactory().generic(
        "POST", "/webhooks/p", data=sent.body, content_type=headers.pop("content-type", ""), headers=headers
    )
    return list(view(**view_options).parse_events(request))
