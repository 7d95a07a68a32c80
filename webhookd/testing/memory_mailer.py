"""A mail server in memory, behind the same two questions as the real one."""

from collections.abc import Callable
from dataclasses import replace
from threading import Condition

from webhookd.errors import InvalidInput, MailUnavailable
from webhookd.flow.alerting.mail import Mail, MailResult, RecipientResult
from webhookd.flow.alerting.mail_address import parse_address


class MemoryMailer:
    """What Mailer answers, told by the test: `sent` is read, `away` and the recipients below are set.

    `sent` has a mail for each recipient that it was delivered to. Recipients in `refused` are refused for good, those
    in `busy` may be taken later; without `smtputf8` so is refused what is not ASCII before the @.
    """

    def __init__(self) -> None:
        self.sent: list[Mail] = []
        self.down = False
        self.smtputf8 = True
        self.refused: set[str] = set()
        self.deferred: set[str] = set()
        self._changed = Condition()

    def send(self, mail: Mail) -> tuple[RecipientResult, ...]:
        """Take the mail; returns what became of each recipient."""
        self.ping()
        settled = tuple(self._result_for(mail, recipient) for recipient in mail.recipients)
        with self._changed:
            self.sent += [
                replace(mail, recipients=(item.recipient,)) for item in settled if item.result is MailResult.DELIVERED
            ]
            self._changed.notify_all()
        return settled

    def ping(self) -> None:
        """Raises MailUnavailable while it is away."""
        if self.down:
            raise MailUnavailable("nobody listens")

    def wait(self, reached: Callable[[list[Mail]], bool], timeout_s: float) -> bool:
        """Wait until what was sent is as wanted; answers whether it was in time."""
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
