"""The file with the signing secrets of the paths: JSON, each path with its secret or a list of them.

It is read again when it has changed, because a subscription gets its secret when it is registered, and the endpoint is
there before.
"""

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

PREFIX = "whsec_"

Secrets = Mapping[str, str | list[str]]
"""The signing secrets of each path."""

_decode = msgspec.json.Decoder(dict[str, str | list[str]]).decode


class UnusableSecretsError(Exception):
    """The secrets cannot be used: the message names the file, the path and the reason, and shows no secret."""


class SecretsFile:
    """The secrets of a file, as it is now. Raises UnusableSecretsError if it cannot be read at the beginning.

    A later version that cannot be read changes nothing; `fault` says why. None as the file: no path has a secret.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._version = _version(file)
        self._verifiers = _read(file) if file else {}
        self.fault = ""

    def of(self, path: str) -> list[Webhook]:
        """What verifies the requests of this path; empty when its secret is not known. It asks for the file's time."""
        if self._file is not None and (version := _version(self._file)) != self._version:
            self._read_again(self._file, version)
        return self._verifiers.get(path, [])

    def _read_again(self, file: Path, version: tuple[int, ...]) -> None:
        self._version = version
        try:
            self._verifiers, self.fault = _read(file), ""
        except UnusableSecretsError as error:
            self.fault = str(error)


def write(file: Path, secrets: Secrets) -> None:
    """Write the file, for its owner alone, so that a reader sees the old or the new one."""
    number, unfinished = tempfile.mkstemp(dir=file.parent, prefix=file.name)  # mkstemp makes it with mode 0600
    try:
        with open(number, "wb") as output:  # noqa: PTH123 - a descriptor has no path
            output.write(msgspec.json.encode(secrets))
        Path(unfinished).replace(file)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(unfinished).unlink()
        raise


def secret_of(text: str) -> tuple[str, str]:
    """Split `PATH=whsec_…`. Raises ValueError with one line, which shows no secret."""
    path, equals, secret = text.partition("=")
    if not equals or not path.startswith("/"):
        raise ValueError("is not PATH=whsec_…, with a path that begins with /")
    verifier(path, secret)
    return path, secret


def verifier(path: str, secret: str) -> Webhook:
    """What verifies requests with this secret. Raises ValueError with one line, which shows no secret."""
    if secret.startswith(PREFIX):
        with contextlib.suppress(ValueError, EmptyWebhookSecretError):
            return Webhook(secret)
    raise ValueError(f"the secret of {path} is not {PREFIX} and base64")


def _read(file: Path) -> dict[str, list[Webhook]]:
    try:
        document = _decode(file.read_bytes())
        return {path: _verifiers(path, known) for path, known in document.items()}
    except OSError as error:
        raise UnusableSecretsError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UnusableSecretsError(f"{file}: it is not UTF-8") from None
    except ValueError as error:  # also msgspec's errors
        raise UnusableSecretsError(f"{file}: {error}") from None


def _verifiers(path: str, secrets: str | list[str]) -> list[Webhook]:
    if not path.startswith("/"):
        raise ValueError(f"the path {path!r} does not begin with /")
    return [verifier(path, one) for one in ([secrets] if isinstance(secrets, str) else secrets)]


def _version(file: Path | None) -> tuple[int, ...]:
    """What changes with the file; empty when there is none."""
    if file is None:
        return ()
    try:
        known = os.stat(file)  # noqa: PTH116 - a third of the time of Path.stat, and each request asks
    except OSError:
        return ()
    return known.st_ino, known.st_mtime_ns, known.st_size
