"""A plain-text mail as the outbox stores it, and the result for each recipient.

Text from others goes through `one_line` before it gets into a subject: a line break there could add a header.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

LINE_CHARACTERS = 200
"""The longest name or answer within a line; a subscription's name is never longer."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail to all its recipients. Its Message-ID is made of `token`, so it is the same at each attempt."""

    token: str
    recipients: tuple[str, ...]
    subject: str
    body: str
    created_at: float


class MailResult(StrEnum):
    """The result of sending a mail to one recipient; LATER means that it is tried again."""

    DELIVERED = "delivered"
    LATER = "later"
    REFUSED = "refused"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientResult:
    """The result of one attempt for one recipient; `tried` is False if the attempt ended before this recipient."""

    recipient: str
    result: MailResult
    detail: str = ""
    tried: bool = True


def remaining_recipients(results: Iterable[RecipientResult]) -> tuple[str, ...]:
    """Return the recipients of the next attempt to send: first those that this attempt did not reach.

    The order makes sure that no recipient is left out again and again.
    """
    later = [item for item in results if item.result is MailResult.LATER]
    return tuple(item.recipient for item in sorted(later, key=lambda item: item.tried))


def given_up(results: Iterable[RecipientResult]) -> tuple[RecipientResult, ...]:
    """Return the results with GIVEN_UP in place of LATER."""
    return tuple(
        replace(item, result=MailResult.GIVEN_UP) if item.result is MailResult.LATER else item for item in results
    )


def token_of(subject_key: str, kind: str, at: float) -> str:
    """Return the part of the Message-ID that is unique to this mail."""
    return hashlib.sha256(f"{subject_key}|{kind}|{at!r}".encode()).hexdigest()[:32]


def one_line(text: str, limit: int = LINE_CHARACTERS) -> str:
    """Return a text that others have written, without line breaks and control characters, cut to the limit."""
    line = _UNPRINTABLE.sub(" ", text).strip()
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
