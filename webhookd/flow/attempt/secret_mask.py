"""Masks the secrets of a subscription in what its endpoint responds, since some endpoints repeat what they got.

Masked is each exact value, and what people take out of it: the words of a header value (`Bearer TOKEN`), the base64 of
a signing secret, a password as `Authorization` carries it, and the same text escaped in JSON or in a URL. A response
that changes a secret in another way is not recognised.
"""

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import quote

from webhookd.flow.attempt.header import MASK
from webhookd.flow.destination import Basic, Destination, secrets_of, with_secrets

LEAST_CHARACTERS: Final = 8
"""Shorter values are not masked: they are in many texts by chance, and such a secret could be guessed anyway."""

PUBLIC_HEADERS: Final = frozenset({"accept", "accept-language", "cache-control", "from", "origin", "user-agent"})
"""Names of headers whose values are no secrets, and are in many responses by chance."""

_MASK = MASK.encode()


class SecretMask:
    """The forms of all secrets of a destination whose secrets are decrypted."""

    def __init__(self, destination: Destination) -> None:
        forms = {form for value in _values(destination) for form in _forms(value)}
        encoded = {each for form in forms for each in _encoded(form)}
        # The longest first: a value is masked as a whole before a word of it is.
        self._forms = sorted(encoded, key=len, reverse=True)
        self._beginnings = {form[:LEAST_CHARACTERS] for form in encoded}

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"SecretMask({len(self._forms)} forms)"

    @property
    def size_bytes(self) -> int:
        """The bytes of all forms."""
        return sum(map(len, self._forms))

    def masked(self, text: bytes) -> bytes:
        """The text with the mask in place of each secret, also of one that is cut off at the end of the text."""
        for beginning in self._beginnings:
            if beginning in text:
                return self._replaced(text)
        return text

    def _replaced(self, text: bytes) -> bytes:
        for form in self._forms:
            text = text.replace(form, _MASK)
        return self._without_cut_off(text)

    def _without_cut_off(self, text: bytes) -> bytes:
        for form in self._forms:
            begin = text.rfind(form[:LEAST_CHARACTERS], max(0, len(text) - len(form)))
            if begin >= 0 and form.startswith(text[begin:]):
                return text[:begin] + _MASK
        return text


def _values(destination: Destination) -> Iterator[str]:
    public = [name.lower() in PUBLIC_HEADERS for name, _ in destination.headers]
    headers = (value for (_, value), known in zip(destination.headers, public, strict=True) if not known)
    for value in headers:
        yield value
        yield from value.split()
    others = with_secrets(destination, lambda path, value: "" if path.startswith("/headers/") else value)
    yield from secrets_of(others)
    for one in destination.signing:
        yield one.secret.partition("_")[2]
    if isinstance(destination.authentication, Basic):
        login = f"{destination.authentication.username}:{destination.authentication.password}"
        yield b64encode(login.encode()).decode()


def _forms(value: str) -> Iterator[str]:
    if len(value) >= LEAST_CHARACTERS:
        yield from (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], quote(value, safe=""))


def _encoded(form: str) -> Iterator[bytes]:
    yield form.encode("utf-8", "replace")
    with suppress(UnicodeEncodeError):
        yield form.encode("latin-1")  # as header values are sent
