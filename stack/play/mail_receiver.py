"""A mail server on loopback that prints the mails: plain SMTP without a login, one thread for each connection."""

import socketserver
import textwrap
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from email import message_from_bytes, policy
from email.message import EmailMessage

IDLE_S = 60.0
"""A connection that says nothing for this long is closed."""

COLUMNS = 100
SHOWN = ("From", "To", "Subject")


class Mailbox(AbstractContextManager["Mailbox"]):
    """Listens on a free port; calls `received` for each mail, on a thread of the connection."""

    def __init__(self, received: Callable[[EmailMessage], None]) -> None:
        self._server = _Server(received)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="mailbox", daemon=True).start()

    def __exit__(self, *_: object) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


def shown(mail: EmailMessage) -> str:
    """Return the mail's main headers and its text, with long lines wrapped."""
    headers = [f"{name}: {mail[name]}" for name in SHOWN]
    lines = [_wrapped(line) for line in str(mail.get_content()).splitlines()]
    return "\n".join([*headers, "", *lines]).rstrip()


def _wrapped(line: str) -> str:
    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.fill(line, COLUMNS, subsequent_indent=indent) if len(line) > COLUMNS else line


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, received: Callable[[EmailMessage], None]) -> None:
        self.received = received
        super().__init__(("127.0.0.1", 0), _Conversation)


class _Conversation(socketserver.StreamRequestHandler):
    """One connection, from the greeting to QUIT."""

    timeout = IDLE_S
    server: _Server

    def handle(self) -> None:
        """Obey each command until QUIT or the end of the connection."""
        try:
            self._say("220 mailbox ready")
            while (line := self.rfile.readline()) and self._obey(line.split(maxsplit=1)[:1]):
                pass
        except OSError:
            return  # the client has disconnected

    def _obey(self, verb: list[bytes]) -> bool:
        """Answer one command; returns whether the conversation goes on."""
        match [word.upper() for word in verb]:
            case [b"DATA"]:
                self._say("354 end with a dot")
                self.server.received(message_from_bytes(self._read_data(), policy=policy.default))
                self._say("250 printed")
            case [b"QUIT"]:
                self._say("221 bye")
                return False
            case [b"EHLO"]:
                self._say("250-mailbox\r\n250-8BITMIME\r\n250 SMTPUTF8")
            case _:
                self._say("250 ok")
        return True

    def _read_data(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        return b"".join(lines)

    def _say(self, answer: str) -> None:
        self.wfile.write(f"{answer}\r\n".encode())
