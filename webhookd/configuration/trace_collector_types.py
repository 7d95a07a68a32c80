"""Types of the settings of a collector of traces: its URL, and the headers of the requests to it."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from webhookd.configuration.forms import Form

TRACES_PATH = "/v1/traces"
"""Where a collector takes traces unless the URL says otherwise (OTLP specification, OTLP/HTTP request)."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


def _collector_url(text: str) -> str:
    if not text:
        return text
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError("is not an http or https URL with a host")
    if "@" in parts.netloc:
        raise ValueError("has a user or a password: set a header instead")
    if parts.query or parts.fragment or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("has more than a scheme, a host, a port and a path")
    return text if parts.path.strip("/") else f"{text.rstrip('/')}{TRACES_PATH}"


def header_map(text: str) -> dict[str, str]:
    """Return the headers in `name=value,name=value`, their names in lower case. Raises ValueError that shows none."""
    headers = {}
    for number, part in enumerate(filter(None, text.split(",")), start=1):
        name, _, value = (side.strip() for side in part.partition("="))
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"has a part, the one at place {number}, that is not a header's name, `=` and a value")
        headers[name.lower()] = value
    return headers


def _headers(secret: SecretStr) -> SecretStr:
    header_map(secret.get_secret_value())
    return secret


CollectorUrl = Annotated[
    str, AfterValidator(_collector_url), Form("a URL like `http://127.0.0.1:4318`, or nothing for no traces")
]
HeaderMap = Annotated[SecretStr, AfterValidator(_headers), Form("headers as `name=value,name=value`", hidden=True)]
