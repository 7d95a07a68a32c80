"""Loads certificates and keys from the files that settings name; an unusable file is an UnusableSetting."""

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path

from webhookd.errors import UnusableSetting


def load_authorities(context: ssl.SSLContext, ca_file: Path, setting: str) -> None:
    """Trust the authorities in a file too. Raises UnusableSetting for this setting."""
    with _errors_naming(setting, ca_file):
        context.load_verify_locations(ca_file)


def load_identity(
    context: ssl.SSLContext, cert_file: Path, key_file: Path | None, *, cert_setting: str, key_setting: str
) -> None:
    """Show the certificate in `cert_file` to servers that ask for one; without `key_file` it also holds the key.

    Raises UnusableSetting for the setting of the unusable file.
    """
    with _errors_naming(cert_setting, cert_file):
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cert_file)
    setting = cert_setting if key_file is None else key_setting
    with _errors_naming(setting, key_file or cert_file, "not the unencrypted private key of this certificate"):
        context.load_cert_chain(cert_file, key_file, password=_no_password)


def _no_password() -> str:
    raise ssl.SSLError("it is encrypted")  # otherwise OpenSSL would prompt on the terminal


@contextlib.contextmanager
def _errors_naming(setting: str, file: Path, wrong: str = "not a certificate") -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise UnusableSetting(f"{file}: {wrong}: {error}", setting=setting) from error
    except OSError as error:
        raise UnusableSetting(f"{file}: {error.strerror}", setting=setting) from error
