"""Encrypts the secrets of subscriptions with Fernet (AES-128-CBC and HMAC-SHA256), and decrypts them.

The first key encrypts, every key decrypts (`cryptography.fernet.MultiFernet`). A process without a key reads and writes
everything else.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr
from sqlalchemy.orm import Session

from webhookd.configuration.value_types import fernet_keys
from webhookd.errors import SecretKeysMissing, SecretsUnreadable, UnusableSetting
from webhookd.flow.destination import Sealed, Unencrypted
from webhookd.settings import Settings

SECRET_KEYS: Final = "secret_keys"  # noqa: S105  # a name, no password
"""The key of a transaction's SecretKeys in its session's `info`."""

KEY_FILE: Final = "secret-key"
HOW: Final = "write keys that `webhookd secrets generate-key` prints, one a line"

_BETWEEN_KEYS = re.compile(r"[,\s]+")


class SecretKeys:
    """The keys of a process; none for one that neither encrypts nor decrypts. Any thread may use it."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self._each = tuple(map(Fernet, keys))
        self._all = MultiFernet(self._each) if keys else None

    def __bool__(self) -> bool:
        """Whether there is a key."""
        return self._all is not None

    def __repr__(self) -> str:
        """Without the keys."""
        return f"SecretKeys({len(self._each)} keys)"

    def seal(self, value: str) -> str:
        """Encrypt a value with the first key. An empty or a sealed one stays as it is.

        Without a key an Unencrypted one does too; for others it raises SecretKeysMissing.
        """
        if not value or isinstance(value, Sealed):
            return value
        if self._all is not None:
            return Sealed(self._all.encrypt(value.encode()).decode())
        if isinstance(value, Unencrypted):
            return value
        raise SecretKeysMissing

    def resealed(self, value: str) -> str:
        """Encrypt as `seal` does, and with the first key also what another key has encrypted, if it can be decrypted.

        What is written while keys are rotated may have been read before: it must not bring back the old key.
        """
        if isinstance(value, Sealed) and self._all is not None and self.place(value) not in {0, None}:
            return Sealed(self._all.rotate(value).decode())
        return self.seal(value)

    def open(self, value: str) -> str:
        """Decrypt a sealed value; a plain one stays as it is. Raises SecretsUnreadable."""
        if not isinstance(value, Sealed):
            return value
        if self._all is None:
            raise SecretsUnreadable("WEBHOOKD_SECRET_KEYS is not set")
        try:
            return self._all.decrypt(value).decode()
        except InvalidToken:
            raise SecretsUnreadable("no key in WEBHOOKD_SECRET_KEYS decrypts them") from None

    def place(self, value: Sealed) -> int | None:
        """Which key decrypts the value: 0 for the first one, None if none does."""
        for place, key in enumerate(self._each):
            try:
                key.decrypt(value)
            except InvalidToken:
                continue
            return place
        return None


NONE: Final = SecretKeys()
"""The keys of a process that has none."""


def generate() -> str:
    """Return a new key: 32 random bytes in the alphabet of base64url."""
    return Fernet.generate_key().decode()


def key_file(folder: Path) -> Path:
    """Return the file `secret-key` in the folder, which gets a new key if it is not there; only its owner reads it.

    Raises OSError.
    """
    place = folder / KEY_FILE
    if not place.exists():
        made = folder / f"{KEY_FILE}.{os.getpid()}"
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{generate()}\n")
        try:
            os.link(made, place)  # never a file without a key, and never a second one
        except FileExistsError:
            pass
        finally:
            made.unlink()
    return place


def with_key_file(settings: Settings, folder: Path) -> Settings:
    """Return the settings with the key in the folder if they have none. Raises OSError."""
    if settings.secret_keys_file is not None or settings.secret_keys.get_secret_value():
        return settings
    return settings.model_copy(update={"secret_keys_file": key_file(folder)})


def secret_keys_of(settings: Settings) -> SecretKeys:
    """Return the keys of the settings; none if none is set. Raises UnusableSetting for a file without usable keys."""
    file = settings.secret_keys_file
    given = settings.secret_keys.get_secret_value() if file is None else _text(file)
    return SecretKeys([key for key in _BETWEEN_KEYS.split(given) if key])


def of_session(session: Session) -> SecretKeys:
    """The keys of the database that the session belongs to."""
    keys: SecretKeys = session.info.get(SECRET_KEYS) or NONE
    return keys


def _text(file: Path) -> str:
    try:
        text = file.read_text(encoding="ascii").strip()
        fernet_keys(SecretStr(text))
    except OSError as error:
        raise UnusableSetting(f"{file}: {error.strerror}", setting="secret_keys_file") from error
    except ValueError as error:
        reason = "is not a text" if isinstance(error, UnicodeError) else str(error)
        raise UnusableSetting(f"{file}: {reason}: {HOW}", setting="secret_keys_file") from None
    if not text:
        raise UnusableSetting(f"{file}: has no key: {HOW}", setting="secret_keys_file")
    return text
