"""`provider certificate import|list`: the certificates that Amazon SNS signs with, as an operator has them."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any, TextIO

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.errors import ConfigurationError
from console.actions import providers
from evidence.audit import Actor
from ingestion.models import Provider
from ingestion.selectors import certificates_of, wanted_certificates_of

HELP = "Import or list the certificates that a provider of the scheme ses is verified with."

_FILE_NAME = re.compile(r"\A[A-Za-z0-9_-][A-Za-z0-9._-]{0,155}\.pem\Z")
PEM_LIMIT_BYTES = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("act", choices=["import", "list"])
    parser.add_argument("name", help="the provider")
    parser.add_argument("--file", type=Path, help="the certificate, PEM, downloaded over https from Amazon")
    parser.add_argument("--as", dest="file_name", help="the last part of its URL, where the file has another name")


def run(**options: Any) -> int:
    """0 done, 1 refused, 2 wrong usage."""
    out: TextIO = options.get("stdout") or sys.stdout
    provider = Provider.objects.filter(name=options["name"]).first()
    if provider is None:
        out.write(f"autocom: no provider is called {options['name']}: `manage.py provider list` names them\n")
        return 1
    if options["act"] == "list":
        _list(provider, out)
        return 0
    if options.get("file") is None:
        out.write("autocom: say which certificate: --file cert.pem\n")
        return 2
    return _import(provider, options["file"], options.get("file_name") or options["file"].name, out)


def _import(provider: Provider, file: Path, file_name: str, out: TextIO) -> int:
    try:
        if not _FILE_NAME.match(file_name):
            raise ConfigurationError(
                f"{file_name!r} is not the last part of a SigningCertURL: "
                "give it with --as, e.g. --as SimpleNotificationService-0123abcd.pem"
            )
        row = providers.take_certificate(
            actor=Actor.command_line(),
            provider=provider,
            pem=_text(file),
            file_name=file_name,
            now=datetime_of(us=SYSTEM_CLOCK.now_us()),
        )
    except ConfigurationError as error:
        out.write(f"autocom: {error}\n")
        return 1
    out.write(f"{provider.name}: {row.file_name} is in use within seconds, until {row.not_after:%Y-%m-%d %H:%M} UTC\n")
    return 0


def _text(file: Path) -> str:
    """Raises ConfigurationError."""
    try:
        if file.stat().st_size > PEM_LIMIT_BYTES:
            raise ConfigurationError(f"{file} is too long for a certificate")
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read as PEM: {error}") from None


def _list(provider: Provider, out: TextIO) -> None:
    now = datetime_of(us=SYSTEM_CLOCK.now_us())
    for row in certificates_of(provider):
        state = "EXPIRED" if row.not_after <= now else f"{(row.not_after - now).days} days left"
        out.write(f"{row.file_name}  {row.subject}  until {row.not_after:%Y-%m-%d %H:%M} UTC  {state}\n")
    out.writelines(
        f"WANTED {wanted.url}  {wanted.count} messages refused, last {wanted.last_seen_at:%Y-%m-%d %H:%M} UTC: "
        f"download it over https, then `manage.py provider certificate import {provider.name} --file …`\n"
        for wanted in wanted_certificates_of(provider)
    )
