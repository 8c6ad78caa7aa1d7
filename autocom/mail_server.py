"""EMAIL_URL: the mail server that takes our mail, and whom the mail is from."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from autocom.kernel.addresses import is_loopback
from autocom.kernel.errors import ConfigurationError

PORTS = {"smtp": 587, "smtps": 465}
FORM = "write it as smtp://USER:PASSWORD@mail.example.com:587?from=autocom@example.com, or smtps://"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """`starts_tls`: by STARTTLS, which is demanded; only on this machine mail goes in the clear."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    is_tls: bool
    starts_tls: bool
    sender: str


def mail_server_of(url: str, *, base_url: str) -> MailServer:
    """Without `from`, mail is from autocom@ the host of `base_url`.

    Raises ConfigurationError, which never repeats the URL: it may hold a password.
    """
    try:
        parts, port = urlsplit(url), urlsplit(url).port
    except ValueError:
        raise ConfigurationError(FORM) from None
    host = parts.hostname
    if parts.scheme not in PORTS or not host or port == 0 or parts.path not in ("", "/") or parts.fragment:
        raise ConfigurationError(FORM)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(user) != bool(password):
        raise ConfigurationError("it has a user or a password alone: give both, or neither")
    if not f"{user}{password}".isascii() or not f"{user}{password}".isprintable():
        raise ConfigurationError("its user or password has a character that no mail server takes: copy it anew")
    return MailServer(
        host=host,
        port=port or PORTS[parts.scheme],
        user=user,
        password=password,
        is_tls=parts.scheme == "smtps",
        starts_tls=parts.scheme == "smtp" and not is_loopback(host),
        sender=_sender(parts.query, default_host=urlsplit(base_url).hostname or ""),
    )


def _sender(query: str, *, default_host: str) -> str:
    name, _, value = query.partition("=")
    if query and name != "from":
        raise ConfigurationError("its query takes from=ADDRESS alone, once")
    if not query and not default_host:
        raise ConfigurationError("it says not whom mail is from: add ?from=autocom@example.com")
    sender = unquote(value) if query else f"autocom@{default_host}"
    try:
        validate_email(sender)
    except ValidationError:
        wrong = "its from is" if query else "APP_BASE_URL's host makes"
        raise ConfigurationError(f"{wrong} no address of mail: add ?from=autocom@example.com") from None
    if not sender.isascii() or '"' in sender:
        raise ConfigurationError("its from takes a plain address alone, such as ?from=autocom@example.com")
    return sender
