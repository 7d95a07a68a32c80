"""A mail server in memory, behind the same two questions as the real one."""

from collections.abc import Callable
from dataclasses import replace
from threading import Condition

from webhookd.errors import MailRefused, MailUnavailable
from webhookd.flow.mail import Mail


class MemoryMailer:
    """What Mailer answers, told by the test: `sent` is read, `away` and the recipients below are set.

    Recipients in `refused` are refused for good, those in `busy` may be taken later.
    """

    def __init__(self) -> None:
        self.sent: list[Mail] = []
        self.away = False
        self.refused: set[str] = set()
        self.busy: set[str] = set()
        self._changed = Condition()

    def send(self, mail: Mail) -> tuple[str, ...]:
        """Take the mail; answers the recipients that it may be taken for later."""
        self.ping()
        if any("\n" in text or "\r" in text for text in (mail.subject, *mail.recipients)):
            raise MailRefused("a header cannot be written")
        if self.refused.issuperset(mail.recipients):
            raise MailRefused
        again = tuple(recipient for recipient in mail.recipients if recipient in self.busy)
        if len(again) == len(mail.recipients):
            raise MailUnavailable
        taken = tuple(recipient for recipient in mail.recipients if recipient not in self.busy | self.refused)
        with self._changed:
            self.sent += [replace(mail, recipients=taken)] if taken else []
            self._changed.notify_all()
        return again

    def ping(self) -> None:
        """Raises MailUnavailable while it is away."""
        if self.away:
            raise MailUnavailable("nobody listens")

    def wait(self, reached: Callable[[list[Mail]], bool], timeout_s: float) -> bool:
        """Wait until what was sent is as wanted; answers whether it was in time."""
        with self._changed:
            return self._changed.wait_for(lambda: reached(self.sent), timeout_s)
