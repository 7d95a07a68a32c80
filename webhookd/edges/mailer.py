"""Mails over SMTP: STARTTLS or TLS as set and never less, a login, and a bound on every wait.

answer                                     then
2xx to everything                          sent
4xx or 5xx to some recipients              the others have it; a 4xx is told back, a 5xx logged and given up
4xx, no answer, no connection, bad login   MailUnavailable: it may be taken later
5xx to all recipients, or to the text      MailRefused: it never will

A connection is made for each mail: alerts are few, and what holds none cannot hold a broken one.
"""

import smtplib
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

import certifi

from webhookd import logs
from webhookd.errors import MailRefused, MailUnavailable, UnusableSetting
from webhookd.flow.mail import Mail
from webhookd.settings import Settings

STEP_S = 10.0
"""Connecting, and each answer of the server. A mail takes some ten steps, less than its claim (store/alerts.py)."""

_POLICY = SMTP.clone(cte_type="7bit")  # not every server takes more

_Refusals = Mapping[str, tuple[int, bytes]]

_log = logs.get(__name__)


class Mailer:
    """Sends mails through the server in the settings; used from any thread, and blocks.

    Raises UnusableSetting for settings that no mail can be sent with.
    """

    def __init__(self, settings: Settings, *, step_s: float = STEP_S) -> None:
        if not settings.mail_from:
            raise UnusableSetting("is needed with a mail server", setting="mail_from")
        try:
            sender = Address(addr_spec=settings.mail_from)
        except (ValueError, MessageError) as error:
            raise UnusableSetting(f"is not an address: {error}", setting="mail_from") from error
        self._sender = sender.addr_spec
        # Also what this side calls itself: looking that up could wait for a name server without a bound.
        self._domain = sender.domain or "localhost"
        self._settings = settings
        self._step_s = step_s
        self._context = None if settings.smtp_security == "none" else _context(settings.smtp_ca_file)

    def send(self, mail: Mail) -> tuple[str, ...]:
        """Have the server take the mail; answers the recipients that it may take it for later.

        Raises MailUnavailable when it took it for nobody but may later, MailRefused when it never will.
        """
        message = self._message(mail)
        with self._connected() as server:
            refusals = self._handed_over(server, message, mail)
        return _to_try_again(refusals, mail)

    def ping(self) -> None:
        """Connect, log in and leave. Raises MailUnavailable."""
        with self._connected() as server:
            server.noop()

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage(policy=_POLICY)
        try:
            message["From"] = self._sender
            message["To"] = ", ".join(mail.recipients)
            message["Subject"] = mail.subject
        except (ValueError, LookupError, MessageError) as error:
            raise MailRefused(f"a header cannot be written: {error}") from error
        message["Date"] = format_datetime(datetime.fromtimestamp(mail.created_at, UTC))
        message["Message-ID"] = f"<{mail.token}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        message.set_content(mail.body)
        return message

    def _handed_over(self, server: smtplib.SMTP, message: EmailMessage, mail: Mail) -> _Refusals:
        try:
            return server.send_message(message, self._sender, list(mail.recipients))
        except smtplib.SMTPRecipientsRefused as error:
            return error.recipients
        except smtplib.SMTPDataError as error:
            if error.smtp_code >= 500:
                raise MailRefused(_said(error.smtp_code, error.smtp_error)) from error
            raise
        except smtplib.SMTPNotSupportedError as error:  # an address that is not ASCII
            raise MailRefused(str(error)) from error

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        try:
            server = self._connect()
            try:
                yield server
            except BaseException:
                server.close()
                raise
            _leave(server)
        except smtplib.SMTPResponseException as error:
            raise MailUnavailable(_said(error.smtp_code, error.smtp_error)) from error
        except (smtplib.SMTPException, OSError) as error:
            raise MailUnavailable(str(error) or type(error).__name__) from error

    def _connect(self) -> smtplib.SMTP:
        settings = self._settings
        host, port, name = settings.smtp_host, settings.smtp_port, self._domain
        if settings.smtp_security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, name, timeout=self._step_s, context=self._context)
        else:
            server = smtplib.SMTP(host, port, name, timeout=self._step_s)
        try:
            if settings.smtp_security == "starttls":
                server.starttls(context=self._context)
            if settings.smtp_user:
                server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
        except BaseException:
            server.close()
            raise
        return server


class Nowhere:
    """Where mails go without a mail server: it refuses each, so that the outbox closes it and the log says so."""

    def send(self, mail: Mail) -> tuple[str, ...]:
        """Raises MailRefused."""
        raise MailRefused(f"WEBHOOKD_SMTP_HOST is not set: {mail.token} is not sent")

    def ping(self) -> None:
        """Nobody is asked."""


def build_mailer(settings: Settings) -> Mailer | Nowhere:
    """Where the settings send mails. Raises UnusableSetting."""
    return Mailer(settings) if settings.smtp_host else Nowhere()


def _to_try_again(refusals: _Refusals, mail: Mail) -> tuple[str, ...]:
    for_good = {recipient: said for recipient, said in refusals.items() if said[0] >= 500}
    if len(for_good) == len(mail.recipients):
        raise MailRefused("; ".join(_said(*said) for said in for_good.values()))
    for code, text in for_good.values():
        # Not whom: an address is a person's, and the log has many readers.
        _log.error("recipient_refused", code=MailRefused.code, mail=mail.token, detail=_said(code, text))
    again = tuple(recipient for recipient in refusals if recipient not in for_good)
    if len(again) == len(mail.recipients):
        raise MailUnavailable("; ".join(_said(*refusals[recipient]) for recipient in again))
    return again


def _leave(server: smtplib.SMTP) -> None:
    try:
        server.quit()
    except (smtplib.SMTPException, OSError):
        server.close()  # the mail is taken, or nothing was asked: how the server says goodbye is its business


def _said(code: int, text: bytes | str) -> str:
    readable = text.decode(errors="replace") if isinstance(text, bytes) else text
    return f"{code} {readable}".partition("\n")[0][:300]


def _context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not paths.capath:
        context.load_verify_locations(certifi.where())
    try:
        if ca_file is not None:
            context.load_verify_locations(ca_file)
    except ssl.SSLError as error:
        raise UnusableSetting(f"{ca_file}: no certificate: {error}", setting="smtp_ca_file") from error
    except OSError as error:
        raise UnusableSetting(f"{ca_file}: {error.strerror}", setting="smtp_ca_file") from error
    return context
