"""A mail server on this machine that keeps what it is sent, and refuses what it is told to refuse."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class MailBox:
    port: int = 0
    answers: dict[str, str] = field(default_factory=dict)  # by verb, where it is not to be taken; END ends the data
    connection_count: int = 0
    recipients: list[str] = field(default_factory=list)
    seen: list[EmailMessage] = field(default_factory=list)
    taken: list[EmailMessage] = field(default_factory=list)


@contextmanager
def mail_server(box: MailBox) -> Iterator[MailBox]:
    """On the box's port, which is a free one where it is 0."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            box.connection_count += 1
            self.say("220 here")
            while line := self.rfile.readline():
                verb = line[:4].decode().strip().upper()
                if verb == "RCPT":
                    box.recipients.append(line.decode().strip().partition(":<")[2].removesuffix(">"))
                self.say(box.answers.get(verb, "354 go on" if verb == "DATA" else "250 fine"))
                if verb == "DATA" and verb not in box.answers:
                    self.take()
                if verb == "QUIT":
                    return

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
