"""Alerts as mail, by the operator's own mail server (EMAIL_URL): plain text, the same Message-ID at each attempt."""

from __future__ import annotations

import contextlib
import hashlib
import json
import smtplib
from urllib.parse import urljoin

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend
from django.core.validators import EmailValidator
from django.urls import reverse

from evidence.outgoing.claims import Claim
from evidence.outgoing.errors import MailNotTaken, MailRefused
from evidence.sends import DestinationInvalid

SCHEME = "mailto:"
ADDRESS_LIMIT_CHARS = 254
SUBJECT_LIMIT_CHARS = 160
PERMANENT_FROM = 500
STATES = {"alert.opened": "Since", "alert.closed": "Over since"}

_check_mail_address = EmailValidator(allowlist=[])  # not even localhost: mail is for somebody elsewhere


def is_mail(address: str) -> bool:
    return address.startswith(SCHEME)


def recipient_of(address: str) -> str:
    """Raises DestinationInvalid."""
    recipient = address.removeprefix(SCHEME)
    try:
        _check_mail_address(recipient)
    except ValidationError:
        wrong = True
    else:
        wrong = not recipient.isascii() or any(sign in recipient for sign in '"[?%') or not is_mail(address)
    if wrong or len(recipient) > ADDRESS_LIMIT_CHARS:
        raise DestinationInvalid("this is no address for mail: write exactly one, as mailto:ops@example.com")
    return recipient


def check_mail_destination(address: str, *, forwards: bool) -> None:
    """Passes what mail can be sent to here. Raises DestinationInvalid."""
    recipient_of(address)
    if forwards:
        raise DestinationInvalid("mail takes alerts alone: forward events to an https address")
    if not settings.AUTOCOM.email_url:
        raise DestinationInvalid("EMAIL_URL is not set: name the mail server there, start anew, and add it then")


def send_mail(claim: Claim) -> None:
    """The mail server took it. Raises MailNotTaken, which is tried again, and MailRefused."""
    if not settings.AUTOCOM.email_url:
        raise MailNotTaken("EMAIL_URL is not set any more: name the mail server there")
    connection = EmailBackend()  # as the settings say, whatever backend others are to use
    try:
        connection.open()
        connection.send_messages([message_of(claim)])
    except smtplib.SMTPRecipientsRefused as error:
        ((code, _),) = error.recipients.values()  # there is one recipient
        raise _refusal(code, what="the recipient") from error
    except smtplib.SMTPSenderRefused as error:
        raise _refusal(error.smtp_code, what="the sender") from error
    except smtplib.SMTPDataError as error:
        raise _refusal(error.smtp_code, what="the message") from error
    except (
        OSError,
        UnicodeError,
    ) as error:  # smtplib's others too: what is wrong with the server or our sign-in can be put right
        raise MailNotTaken(f"the mail server of EMAIL_URL took nothing: {_name(error)}") from error
    finally:
        with contextlib.suppress(OSError):  # a server that took the mail and forgets its manners has taken it
            connection.close()


def message_of(claim: Claim) -> EmailMessage:
    told = json.loads(claim.body)
    data = told["data"]
    summary = _line(data["summary"])
    prefix = "" if told["type"] == "alert.opened" else "over: "
    lines = [
        summary,
        "",
        f"Kind: {_line(data['kind'])}",
        f"Subject: {_line(data['subject'])}",
        f"Severity: {_line(data['severity'])}",
        f"{STATES[told['type']]}: {_line(told['timestamp'])}",
    ]
    if base := settings.AUTOCOM.app_base_url:
        lines.append(f"What to do: {urljoin(base, reverse('admin:alerts'))}")
    return EmailMessage(
        subject=f"[autocom] {prefix}{summary}"[:SUBJECT_LIMIT_CHARS],
        body="\n".join([*lines, ""]),
        to=[recipient_of(claim.address)],
        headers={"Message-ID": _message_id(claim), "Auto-Submitted": "auto-generated"},
    )


def _message_id(claim: Claim) -> str:
    """Of the message's id and what it says, so that it is another in each installation and for each destination."""
    digest = hashlib.sha256(f"{claim.destination_id}\n".encode() + claim.body).hexdigest()[:16]
    return f"<{claim.message_id}.{digest}@{settings.DEFAULT_FROM_EMAIL.rpartition('@')[2]}>"


def _line(text: str) -> str:
    """One line, whatever the text has: a second one could be a header or pass for a line of ours."""
    return "".join(sign for sign in " ".join(text.split()) if sign.isprintable())


def _refusal(code: int, *, what: str) -> MailNotTaken | MailRefused:
    """The server's own words are left out: nobody knows what they repeat."""
    kind = MailRefused if code >= PERMANENT_FROM else MailNotTaken
    return kind(f"the mail server of EMAIL_URL refused {what} with {code}")


def _name(error: OSError | UnicodeError) -> str:
    code = f" {error.smtp_code}" if isinstance(error, smtplib.SMTPResponseException) else ""
    return f"{type(error).__name__}{code}"
