"""Sends mail over SMTP, with STARTTLS or TLS as set: it never falls back to an unencrypted connection.

Every wait has a timeout.

Each recipient gets a mail of its own, so that a failure at one address does not affect the others:

the server's reply, or the address                   result for the recipient
2xx to everything                                    delivered
4xx to the recipient or the text, a lost connection  later
5xx to the recipient or the text                     refused
invalid (flow/alerting/mail_address.py)              refused, without asking the server
not ASCII before the @, and no SMTPUTF8 offered      refused

A failed connection, a failed login and a refused sender concern the server, not a recipient: MailUnavailable.

Each mail opens a connection of its own: alerts are rare, and a kept connection could be broken.
"""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

import certifi

from webhookd import clock
from webhookd.edges.tls_files import load_authorities
from webhookd.errors import InvalidInput, MailRefused, MailUnavailable, UnusableSetting
from webhookd.flow.alerting.mail import Mail, MailResult, RecipientResult
from webhookd.flow.alerting.mail_address import MailAddress, parse_address
from webhookd.settings import Settings

STEP_S = 10.0
"""Timeout of connecting, and of each reply of the server."""

TRY_S = 120.0
"""After this time no further recipient is started. With the steps before and after it is shorter than the claim of a
mail (store/mail_outbox.py)."""

_POLICY = SMTP.clone(cte_type="7bit")  # not every server accepts 8-bit text


class Mailer:
    """Sends mail through the server in the settings. Blocks; any thread.

    Raises UnusableSetting for settings with which no mail can be sent.
    """

    def __init__(self, settings: Settings, *, step_s: float = STEP_S) -> None:
        sender = _sender(settings.mail_from)
        self._sender = sender.spec
        # It is also the name in EHLO: looking up this host's name could wait for a name server without a timeout.
        self._domain = sender.domain
        self._settings = settings
        self._step_s = step_s
        self._context = None if settings.smtp_security == "none" else _context(settings.smtp_ca_file)

    def send(self, mail: Mail) -> tuple[RecipientResult, ...]:
        """Send the mail to each recipient; returns a result for each.

        Raises MailUnavailable when no recipient could be tried: the server is unreachable, or refuses the sender.
        """
        results, addresses = _parse_recipients(mail)
        if addresses:
            with self._connected() as server:
                server.ehlo_or_helo_if_needed()
                results += self._send_to_each(server, mail, addresses)
        return tuple(results)

    def _send_to_each(
        self, server: smtplib.SMTP, mail: Mail, addresses: dict[str, MailAddress]
    ) -> list[RecipientResult]:
        results: list[RecipientResult] = []
        until = clock.monotonic() + TRY_S
        left = list(addresses)
        while left and clock.monotonic() < until:
            recipient = left.pop(0)
            try:
                results.append(self._send_to_one(server, mail, recipient, addresses[recipient]))
            except smtplib.SMTPSenderRefused:
                if not results:
                    raise
                left.insert(0, recipient)
                break
            except (smtplib.SMTPException, OSError) as error:
                results.append(_later(recipient, str(error) or type(error).__name__))
                break  # the connection is lost or in an unknown state
        return results + [_later(recipient, "not tried yet", tried=False) for recipient in left]

    def _send_to_one(self, server: smtplib.SMTP, mail: Mail, recipient: str, address: MailAddress) -> RecipientResult:
        """Raises SMTPSenderRefused, and SMTPException or OSError when the connection is unusable."""
        if not address.is_ascii and not server.has_extn("smtputf8"):
            return _refused(recipient, "the mail server accepts ASCII addresses only (it does not offer SMTPUTF8)")
        try:
            message = self._message(mail, address)
            server.send_message(message, self._sender, [address.spec])
        except MailRefused as error:
            return _refused(recipient, error.detail)
        except smtplib.SMTPRecipientsRefused as error:
            return _result_of(recipient, *error.recipients[address.spec])
        except smtplib.SMTPDataError as error:
            return _result_of(recipient, error.smtp_code, error.smtp_error)
        return RecipientResult(recipient=recipient, result=MailResult.DELIVERED)

    def ping(self) -> None:
        """Connect, log in and disconnect. Raises MailUnavailable."""
        with self._connected() as server:
            server.noop()

    def _message(self, mail: Mail, address: MailAddress) -> EmailMessage:
        """Build the message. Raises MailRefused."""
        message = EmailMessage(policy=_POLICY)
        try:
            message["From"] = self._sender
            message["To"] = address.spec
            message["Subject"] = mail.subject
        except (ValueError, LookupError, MessageError) as error:
            raise MailRefused(f"a header cannot be written: {error}") from error
        message["Date"] = format_datetime(datetime.fromtimestamp(mail.created_at, UTC))
        message["Message-ID"] = f"<{mail.token}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        message.set_content(mail.body)
        return message

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        try:
            server = self._connect()
            try:
                yield server
            except BaseException:
                server.close()
                raise
            _quit(server)
        except smtplib.SMTPResponseException as error:
            raise MailUnavailable(_reply_text(error.smtp_code, error.smtp_error)) from error
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


class NoMailer:
    """The mailer without a mail server: it refuses each recipient, so that outbox and status show the reason."""

    def send(self, mail: Mail) -> tuple[RecipientResult, ...]:
        """Refuse each recipient."""
        return tuple(_refused(recipient, "WEBHOOKD_SMTP_HOST is not set") for recipient in mail.recipients)

    def ping(self) -> None:
        """Do nothing: there is no server to check."""


def build_mailer(settings: Settings) -> Mailer | NoMailer:
    """Build the mailer of the settings. Raises UnusableSetting."""
    for text in settings.operator_emails:
        try:
            parse_address(text)
        except InvalidInput as error:
            raise UnusableSetting(f"{text!r} {error}", setting="operator_emails") from error
    return Mailer(settings) if settings.smtp_host else NoMailer()


def _sender(text: str) -> MailAddress:
    if not text:
        raise UnusableSetting("must be set when WEBHOOKD_SMTP_HOST is set", setting="mail_from")
    try:
        sender = parse_address(text)
    except InvalidInput as error:
        raise UnusableSetting(str(error), setting="mail_from") from error
    if not sender.is_ascii:
        raise UnusableSetting("must be ASCII before the @: not every mail server accepts more", setting="mail_from")
    return sender


def _parse_recipients(mail: Mail) -> tuple[list[RecipientResult], dict[str, MailAddress]]:
    """Parse the recipients: results for those that are no address, and the addresses of the others."""
    refused, addresses = [], {}
    for recipient in mail.recipients:
        try:
            addresses[recipient] = parse_address(recipient)
        except InvalidInput as error:
            refused.append(_refused(recipient, str(error)))
    return refused, addresses


def _result_of(recipient: str, code: int, text: bytes | str) -> RecipientResult:
    result = MailResult.REFUSED if code >= 500 else MailResult.LATER
    return RecipientResult(recipient=recipient, result=result, detail=_reply_text(code, text))


def _refused(recipient: str, detail: str) -> RecipientResult:
    return RecipientResult(recipient=recipient, result=MailResult.REFUSED, detail=detail)


def _later(recipient: str, detail: str, *, tried: bool = True) -> RecipientResult:
    return RecipientResult(recipient=recipient, result=MailResult.LATER, detail=detail[:300], tried=tried)


def _quit(server: smtplib.SMTP) -> None:
    try:
        server.quit()
    except (smtplib.SMTPException, OSError):
        server.close()  # the mail was accepted, or none was sent: a failed QUIT does not matter


def _reply_text(code: int, text: bytes | str) -> str:
    readable = text.decode(errors="replace") if isinstance(text, bytes) else text
    return f"{code} {readable}".partition("\n")[0][:300]


def _context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not paths.capath:
        context.load_verify_locations(certifi.where())
    if ca_file is not None:
        load_authorities(context, ca_file, "smtp_ca_file")
    return context
