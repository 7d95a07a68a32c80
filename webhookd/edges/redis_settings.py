"""The address of Redis from the settings: the URL, and the files for TLS."""

import ssl
from dataclasses import replace
from functools import cache
from typing import Final

from webhookd import logs
from webhookd.edges import redis_url
from webhookd.edges.redis_address import RedisAddress, RedisTls
from webhookd.edges.tls_files import load_authorities, load_identity
from webhookd.errors import UnusableSetting
from webhookd.settings import Settings

CA_FILE: Final = "redis_ca_file"
CERT_FILE: Final = "redis_client_cert_file"
KEY_FILE: Final = "redis_client_key_file"

NEEDS_TLS: Final = "needs TLS to Redis: write rediss:// in WEBHOOKD_REDIS_URL, or add ssl=true to a sentinel:// URL"

_log = logs.get(__name__)


def address_of(settings: Settings) -> RedisAddress:
    """Return the address of Redis; a file in the URL has precedence over the setting for it.

    Reads the files. Raises UnusableSetting. Logs once per process when the certificate is not verified.
    """
    address = checked_address(settings)
    if address.tls is not None and not (address.tls.verify_certificate and address.tls.verify_host_name):
        _warn_unverified(address)
    return address


def checked_address(settings: Settings) -> RedisAddress:
    """Return the same without a line in the log."""
    address = redis_url.parse(settings.redis_url)
    if address.tls is not None:
        return replace(address, tls=_with_files(address.tls, settings))
    for name in (CA_FILE, CERT_FILE, KEY_FILE):
        if getattr(settings, name) is not None and not address.embedded:
            raise UnusableSetting(NEEDS_TLS, setting=name)
    return address


def _with_files(tls: RedisTls, settings: Settings) -> RedisTls:
    ca_setting = CA_FILE if tls.ca_file is None else redis_url.SETTING
    cert_setting = CERT_FILE if tls.cert_file is None else redis_url.SETTING
    key_setting = KEY_FILE if tls.key_file is None else redis_url.SETTING
    whole = replace(
        tls,
        ca_file=tls.ca_file or settings.redis_ca_file,
        cert_file=tls.cert_file or settings.redis_client_cert_file,
        key_file=tls.key_file or settings.redis_client_key_file,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if whole.ca_file is not None:
        load_authorities(context, whole.ca_file, ca_setting)
    if whole.cert_file is not None:
        load_identity(context, whole.cert_file, whole.key_file, cert_setting=cert_setting, key_setting=key_setting)
    elif whole.key_file is not None:
        raise UnusableSetting("needs WEBHOOKD_REDIS_CLIENT_CERT_FILE", setting=key_setting)
    return whole


@cache
def _warn_unverified(address: RedisAddress) -> None:
    certificate = address.tls is not None and address.tls.verify_certificate
    _log.warning(
        "redis_certificate_not_verified",
        redis=str(address),
        detail="tasks and payloads go to any server that answers at this address"
        if not certificate
        else "tasks and payloads go to any server with a certificate that is trusted, whatever its host name",
    )
