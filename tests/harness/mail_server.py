"""An SMTP server on 127.0.0.1 that keeps the mails: STARTTLS or TLS, a login, and answers that a test sets."""

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Self

PATIENCE_S = 60.0
HANG = "hang"
"""In place of an answer: send nothing more on that connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One mail with its recipients."""

    recipients: tuple[str, ...]
    message: EmailMessage
    over_tls: bool
    user: str

    @property
    def text(self) -> str:
        """The plain body."""
        return str(self.message.get_content()).replace("\r\n", "\n")


class MailServer:
    """Listens from the start; `answers` replaces the answer to a verb, or to `RCPT address`."""

    def __init__(
        self,
        *,
        context: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        login: tuple[str, str] | None = None,
        port: int = 0,
    ) -> None:
        self.context = context
        self.implicit_tls = implicit_tls
        self.login = login
        self.smtputf8 = True
        self.answers: dict[str, str] = {}
        self.received: list[Received] = []
        self.changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", port), reuse_port=False)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="mail-server", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the port and every connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def wait(self, reached: Callable[[list[Received]], bool], timeout_s: float = PATIENCE_S) -> None:
        """Wait until the received mails match."""
        with self.changed:
            assert self.changed.wait_for(lambda: reached(self.received), timeout_s), f"received: {self.subjects()}"

    def forget(self) -> None:
        """Remove the mails received so far."""
        with self.changed:
            self.received.clear()

    def subjects(self) -> list[str]:
        """The subjects of all received mails, in order."""
        return [str(mail.message["Subject"]) for mail in self.received]

    def keep(self, mail: Received) -> None:
        """Store a received mail."""
        with self.changed:
            self.received.append(mail)
            self.changed.notify_all()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), name="mail-connection", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE_S)
        self._open.add(connection)
        conversation = _Conversation(self, connection)
        try:
            conversation.run()
        except OSError:
            return  # the client closed, or rejected the certificate
        finally:
            self._open.discard(connection)
            conversation.close()


class _Conversation:
    """One connection, from the greeting to QUIT."""

    def __init__(self, server: MailServer, connection: socket.socket) -> None:
        self._server = server
        self._tls = False
        self._user = ""
        self._recipients: list[str] = []
        self._use(connection)

    def run(self) -> None:
        if self._server.implicit_tls:
            self._secure()
        self._say("220 mail.test ready")
        while line := self._lines.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            if not self._obey(verb.upper(), rest):
                return

    def close(self) -> None:
        self._lines.close()
        self._connection.close()

    def _obey(self, verb: str, rest: str) -> bool:
        if verb == "RCPT":
            address = rest.partition("<")[2].partition(">")[0]
            answer = self._server.answers.get(f"RCPT {address}", "250 ok")
            self._recipients += [address] if answer.startswith("2") else []
            self._say(answer)
        elif verb in self._server.answers and verb != "TEXT":
            self._say(self._server.answers[verb])
        else:
            self._usual(verb, rest)
        return verb != "QUIT"

    def _usual(self, verb: str, rest: str) -> None:
        match verb:
            case "EHLO":
                self._introduce()
            case "STARTTLS":
                self._say("220 go ahead")
                self._secure()
            case "AUTH":
                self._authenticate(rest)
            case "MAIL":
                self._recipients = []
                self._say("530 log in first" if self._server.login and not self._user else "250 ok")
            case "DATA":
                self._say("354 go ahead")
                self._receive()
            case "QUIT":
                self._say("221 bye")
            case _:
                self._say("250 ok")

    def _introduce(self) -> None:
        offers = ["mail.test", "8BITMIME"]
        offers += ["SMTPUTF8"] if self._server.smtputf8 else []
        offers += ["STARTTLS"] if self._server.context and not self._tls else []
        offers += ["AUTH PLAIN"] if self._server.login else []
        self._say("\r\n".join([*[f"250-{offer}" for offer in offers[:-1]], f"250 {offers[-1]}"]))

    def _authenticate(self, rest: str) -> None:
        user, password = base64.b64decode(rest.split()[1]).decode().split("\0")[1:]
        accepted = (user, password) == self._server.login
        self._user = user if accepted else ""
        self._say("235 welcome" if accepted else "535 authentication failed")

    def _receive(self) -> None:
        lines = []
        while (line := self._lines.readline()) not in {b".\r\n", b""}:
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        answer = self._server.answers.get("TEXT", "250 taken")
        if answer.startswith("2"):
            message = message_from_bytes(b"".join(lines), policy=policy.default)
            self._server.keep(
                Received(recipients=tuple(self._recipients), message=message, over_tls=self._tls, user=self._user)
            )
        self._say(answer)

    def _secure(self) -> None:
        assert self._server.context is not None
        self._lines.close()
        self._use(self._server.context.wrap_socket(self._connection, server_side=True))
        self._tls = True

    def _use(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")

    def _say(self, answer: str) -> None:
        if answer == HANG:
            while self._lines.readline():
                continue  # until the client closes
            raise ConnectionResetError
        self._connection.sendall(f"{answer}\r\n".encode())
