"""A mail as the outbox keeps it: plain text, and nothing in a header that could be taken for another one."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

LINE_CHARACTERS = 200
"""Of a name or an answer within a line; a subscription's name has no more."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail to all its recipients. `token` is what its Message-ID is made of, the same at every try."""

    token: str
    recipients: tuple[str, ...]
    subject: str
    body: str
    created_at: float


class MailResult(StrEnum):
    """What became of a mail for one recipient."""

    DELIVERED = "delivered"
    LATER = "later"
    REFUSED = "refused"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientResult:
    """What a try came to for one recipient; `tried` is False when it never was its turn."""

    recipient: str
    result: MailResult
    detail: str = ""
    tried: bool = True


def remaining_recipients(settlements: Iterable[RecipientResult]) -> tuple[str, ...]:
    """Whom the next try is for: first those whose turn it was not, so that nobody keeps the others from theirs."""
    later = [item for item in settlements if item.result is MailResult.LATER]
    return tuple(item.recipient for item in sorted(later, key=lambda item: item.tried))


def given_up(settlements: Iterable[RecipientResult]) -> tuple[RecipientResult, ...]:
    """The same where no other try is made for who might have got it later."""
    return tuple(
        replace(item, result=MailResult.GIVEN_UP) if item.result is MailResult.LATER else item for item in settlements
    )


def token_of(subject_key: str, kind: str, at: float) -> str:
    """The part of a Message-ID that tells this mail from all others."""
    return hashlib.sha256(f"{subject_key}|{kind}|{at!r}".encode()).hexdigest()[:32]


def one_line(text: str, limit: int = LINE_CHARACTERS) -> str:
    """The text without line breaks and control characters, cut to the limit: others chose it."""
    line = _UNPRINTABLE.sub(" ", text).strip()
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
