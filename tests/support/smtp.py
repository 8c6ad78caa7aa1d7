"""A mail server on this machine that keeps what it is sent, and refuses what it is told to refuse."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass(frozen=True)
class SignIn:
    user: str
    password: str
    is_encrypted: bool


@dataclass
class MailBox:
    port: int = 0
    answers: dict[str, str] = field(default_factory=dict)  # by verb, where it is not to be taken; END ends the data
    tls: ssl.SSLContext | None = None
    is_tls_at_once: bool = False  # and not by STARTTLS
    connection_count: int = 0
    sign_ins: list[SignIn] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    seen: list[EmailMessage] = field(default_factory=list)
    taken: list[EmailMessage] = field(default_factory=list)


@contextmanager
def mail_server(box: MailBox) -> Iterator[MailBox]:
    """On the box's port, which is a free one where it is 0."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            box.connection_count += 1
            with suppress(OSError):  # the other end did not like our certificate
                if box.is_tls_at_once:
                    self.encrypt()
                self.say("220 here")
                while line := self.rfile.readline():
                    self.answer(line)

        def answer(self, line: bytes) -> None:
            verb = line[:4].decode().strip().upper()
            if verb == "RCPT":
                box.recipients.append(line.decode().strip().partition(":<")[2].removesuffix(">"))
            if verb == "AUTH":
                _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
                box.sign_ins.append(SignIn(user, password, self.is_encrypted))
            self.say(box.answers.get(verb, self.usual(verb)))
            if verb == "STAR" and box.tls:
                self.encrypt()
            if verb == "DATA" and verb not in box.answers:
                self.take()

        def usual(self, verb: str) -> str:
            if verb == "EHLO":
                return "\r\n".join(["250-here", *(f"250-{each}" for each in self.offered), "250 fine"])
            return {"DATA": "354 go on", "STAR": "220 go on", "AUTH": "235 welcome"}.get(verb, "250 fine")

        @property
        def is_encrypted(self) -> bool:
            return isinstance(self.connection, ssl.SSLSocket)

        @property
        def offered(self) -> list[str]:
            return ["AUTH PLAIN", *(["STARTTLS"] if box.tls and not self.is_encrypted else [])]

        def encrypt(self) -> None:
            assert box.tls is not None
            self.connection = box.tls.wrap_socket(self.connection, server_side=True)
            self.rfile = self.connection.makefile("rb")
            self.wfile = self.connection.makefile("wb", buffering=0)

        def take(self) -> None:
            lines = list(iter(self.rfile.readline, b".\r\n"))
            message = message_from_bytes(b"".join(lines), policy=policy.default)
            box.seen.append(message)
            if "END" not in box.answers:
                box.taken.append(message)
            self.say(box.answers.get("END", "250 taken"))

        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    server = Server(("127.0.0.1", box.port), Handler)
    box.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield box
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
