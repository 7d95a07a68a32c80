"""A fake Mailer: a mail server in memory."""

from collections.abc import Callable
from dataclasses import replace
from threading import Condition

from webhookd.errors import InvalidInput, MailUnavailable
from webhookd.flow.alerting.mail import Mail, MailResult, RecipientResult
from webhookd.flow.alerting.mail_address import parse_address


class MemoryMailer:
    """Behaves like Mailer. A test sets `down` and the recipients below, and reads `sent`.

    `sent` has one mail for each recipient to whom it was delivered. Recipients in `refused` are refused, those in
    `deferred` get a temporary failure. Without `smtputf8` addresses that are not ASCII before the @ are refused.
    """

    def __init__(self) -> None:
        self.sent: list[Mail] = []
        self.down = False
        self.smtputf8 = True
        self.refused: set[str] = set()
        self.deferred: set[str] = set()
        self._changed = Condition()

    def send(self, mail: Mail) -> tuple[RecipientResult, ...]:
        """Accept the mail; returns a result for each recipient."""
        self.ping()
        results = tuple(self._result_for(mail, recipient) for recipient in mail.recipients)
        with self._changed:
            self.sent += [
                replace(mail, recipients=(item.recipient,)) for item in results if item.result is MailResult.DELIVERED
            ]
            self._changed.notify_all()
        return results

    def ping(self) -> None:
        """Raises MailUnavailable while `down`."""
        if self.down:
            raise MailUnavailable("nobody listens")

    def wait(self, reached: Callable[[list[Mail]], bool], timeout_s: float) -> bool:
        """Wait until `reached(sent)` is true; returns whether that was in time."""
        with self._changed:
            return self._changed.wait_for(lambda: reached(self.sent), timeout_s)

    def _result_for(self, mail: Mail, recipient: str) -> RecipientResult:
        try:
            address = parse_address(recipient)
        except InvalidInput as error:
            return RecipientResult(recipient=recipient, result=MailResult.REFUSED, detail=str(error))
        impossible = "\n" in mail.subject or "\r" in mail.subject or not (address.is_ascii or self.smtputf8)
        if recipient in self.refused or impossible:
            return RecipientResult(recipient=recipient, result=MailResult.REFUSED, detail="550 refused")
        result = MailResult.LATER if recipient in self.deferred else MailResult.DELIVERED
        return RecipientResult(
            recipient=recipient, result=result, detail="451 busy" if result is MailResult.LATER else ""
        )
