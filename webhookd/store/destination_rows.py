"""Maps a destination and the limits of its requests to columns and back; a damaged value raises an error that names it.

column       holds
url          the URL
headers      names of the headers, each with an empty value. A value that is here was stored before revision 0006
destination  all other options that are no secret, as a document
secrets      the encrypted secrets by their paths in the destination, as the text of a JSON document; "" for none
limits       the limits of the requests, as a document

Reading decrypts nothing: the secrets of a destination from a row are Sealed, or Unencrypted in an old row.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from webhookd.conversion import converter
from webhookd.errors import SecretsUnreadable, UnusableSubscription
from webhookd.flow.destination import Destination, RequestLimits, Sealed, Unencrypted, with_secrets
from webhookd.store.secret_keys import SecretKeys

_destination: Callable[[object], Destination] = converter(Destination)
_limits: Callable[[object], RequestLimits] = converter(RequestLimits)
_secrets = msgspec.json.Decoder(dict[str, str])


def to_columns(destination: Destination, limits: RequestLimits, keys: SecretKeys) -> dict[str, Any]:
    """The columns of a destination and of its limits. Raises SecretKeysMissing if there is a new secret, and no key."""
    secrets: dict[str, str] = {}

    def take(path: str, value: str) -> str:
        stored = keys.resealed(value)
        if not isinstance(stored, Sealed):
            return str(stored)
        secrets[path] = stored
        return ""

    options = msgspec.to_builtins(with_secrets(destination, take))
    url, headers = options.pop("url"), options.pop("headers")
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
        secrets = sealed_of(row["secrets"])
    except ValueError as error:
        raise UnusableSubscription(f"secrets: {error}") from error
    try:
        bare = _destination({**row["destination"], "url": row["url"], "headers": row["headers"]})
    except (ValueError, TypeError) as error:  # msgspec.ValidationError is a ValueError
        raise UnusableSubscription(f"destination: {error}") from error
    return with_secrets(bare, lambda path, value: secrets.get(path) or (value and Unencrypted(value)))


def sealed(destination: Destination, stored: Destination | None, keys: SecretKeys) -> Destination:
    """The destination with its secrets encrypted; one that has the stored value in its place keeps the stored text.

    So it equals the stored one if no secret has changed, also where a secret is stored unencrypted. Without a key
    nothing can be compared: SecretKeysMissing is raised for every secret that is written out.
    """
    known = _in_clear(stored, keys) if stored is not None and keys else {}
    places = _places(destination)
    return with_secrets(destination, lambda path, value: known.get((places.get(path, path), value)) or keys.seal(value))


def opened(destination: Destination, keys: SecretKeys) -> Destination:
    """The destination with its secrets decrypted. Raises SecretsUnreadable."""
    return with_secrets(destination, lambda _, value: keys.open(value))


def _in_clear(stored: Destination, keys: SecretKeys) -> dict[tuple[str, str], str]:
    """The stored texts of the secrets by place and secret; those that cannot be decrypted are left out."""
    known: dict[tuple[str, str], str] = {}
    places = _places(stored)

    def note(path: str, value: str) -> str:
        with suppress(SecretsUnreadable):
            known[places.get(path, path), keys.open(value)] = value
        return value

    with_secrets(stored, note)
    return known


def _places(destination: Destination) -> dict[str, str]:
    """The places of header values by their paths: the name counts, since headers may come in another order."""
    return {f"/headers/{index}": f"/headers/{name.lower()}" for index, (name, _) in enumerate(destination.headers)}


def sealed_of(column: str) -> dict[str, Sealed]:
    """The encrypted secrets in the column `secrets`, by their paths. Raises ValueError for a damaged one."""
    return {path: Sealed(value) for path, value in _secrets.decode(column or "{}").items()}


def limits_of(row: Mapping[str, Any]) -> RequestLimits:
    """The limits of the requests in a row; raises UnusableSubscription, which names the column and the reason."""
    try:
        return _limits(row["limits"])
    except ValueError as error:
        raise UnusableSubscription(f"limits: {error}") from error
