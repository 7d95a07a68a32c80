"""Maps a destination and the limits of its requests to columns and back; a damaged value raises an error that names it.

column       holds
url          the URL
headers      names and values of the headers
destination  all other options that are no secret, as a document
secrets      the values of the secrets by their paths in that document, as the text of a JSON document; "" for none
limits       the limits of the requests, as a document
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from webhookd.errors import UnusableSubscription
from webhookd.flow.destination import Destination, RequestLimits
from webhookd.store.tables import Json

SECRET_FIELDS = frozenset({"password", "client_secret", "secret", "client_key"})
"""The fields of the document whose values are secrets."""


def to_columns(destination: Destination, limits: RequestLimits) -> dict[str, Any]:
    """The columns of a destination and of its limits."""
    options = msgspec.to_builtins(destination)
    url, headers = options.pop("url"), options.pop("headers")
    secrets = dict(_take_secrets(options, ""))
    return {
        "url": url,
        "headers": [list(header) for header in headers],
        "destination": options,
        "secrets": json.dumps(secrets) if secrets else "",
        "limits": msgspec.to_builtins(limits),
    }


def destination_of(row: Mapping[str, Any]) -> Destination:
    """The destination in a row; raises UnusableSubscription, which names the column and the reason."""
    try:
        secrets = json.loads(row["secrets"] or "{}")
        options = _with_secrets(row["destination"], secrets, "")
        return msgspec.convert({**options, "url": row["url"], "headers": row["headers"]}, Destination)
    except (ValueError, TypeError) as error:  # msgspec.ValidationError is a ValueError
        raise UnusableSubscription(f"destination: {error}") from error


def limits_of(row: Mapping[str, Any]) -> RequestLimits:
    """The limits of the requests in a row; raises UnusableSubscription, which names the column and the reason."""
    try:
        return msgspec.convert(row["limits"], RequestLimits)
    except ValueError as error:
        raise UnusableSubscription(f"limits: {error}") from error


def _take_secrets(value: Json, path: str) -> Iterator[tuple[str, str]]:
    """Remove the secrets below `path` from the document, and return each with its path."""
    if isinstance(value, dict):
        for name in [name for name in value if name in SECRET_FIELDS]:
            yield f"{path}/{name}", value.pop(name)
        items = list(value.items())
    else:
        items = list(enumerate(value)) if isinstance(value, list | tuple) else []
    for name, item in items:
        yield from _take_secrets(item, f"{path}/{name}")


def _with_secrets(value: Json, secrets: Mapping[str, str], path: str) -> Json:
    """The document with the secrets below `path` at their places."""
    if isinstance(value, list):
        return [_with_secrets(item, secrets, f"{path}/{index}") for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    own = {name: secrets[f"{path}/{name}"] for name in SECRET_FIELDS if f"{path}/{name}" in secrets}
    return {name: _with_secrets(item, secrets, f"{path}/{name}") for name, item in value.items()} | own
