"""The environment variables of webhookd: which of them are settings, and which are mistakes.

name                                      what it is
`WEBHOOKD_` and a setting's name          that setting
`WEBHOOKD_TEST_…`                         for webhookd's own tests
`WEBHOOKD_…_SERVICE_HOST`, `…_PORT_…`     set by Kubernetes for a Service whose name begins with `webhookd`
any other that begins with `WEBHOOKD_`    a mistake: a setting that is spelled wrong would be ignored silently
a setting's name in another case          a mistake, for the same reason
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from webhookd.errors import UnusableSetting

PREFIX = "WEBHOOKD_"

_FOR_TESTS = f"{PREFIX}TEST_"
_OF_KUBERNETES = re.compile(
    r"WEBHOOKD_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_[A-Z]+)?)"
)
_KUBERNETES_PORT = re.compile(r"(?:tcp|udp|sctp)://")


class EnvironmentSource(PydanticBaseSettingsSource):
    """The texts of the settings that are in the environment, under their names in upper case."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the text of one setting; None when it is not in the environment."""
        del field
        return os.environ.get(variable(field_name)), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the texts by the names of the settings."""
        return {
            name: os.environ[variable(name)] for name in self.settings_cls.model_fields if variable(name) in os.environ
        }


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def unknown_names(environment: Mapping[str, str], settings: Collection[str]) -> Iterator[UnusableSetting]:
    """Return an error for each variable that looks like a setting and is none."""
    known = {variable(name) for name in settings}
    for name, text in sorted(environment.items()):
        if name not in known and name.upper() in known:
            yield UnusableSetting(f"settings are in upper case: write {name.upper()}", variable=name)
        elif name.startswith(PREFIX) and name not in known and not _belongs_to_others(name, text):
            yield UnusableSetting(unknown(name, known), variable=name)


def unknown(name: str, known: Collection[str]) -> str:
    """Return the sentence for a name that is not among the known ones, with the nearest of them."""
    # Without the prefix, which alone would make any two names similar.
    near = get_close_matches(name.removeprefix(PREFIX), [each.removeprefix(PREFIX) for each in sorted(known)], n=1)
    return (
        f"there is no such setting; {f'did you mean {PREFIX}{near[0]}?' if near else '`webhookd settings` lists all'}"
    )


def _belongs_to_others(name: str, text: str) -> bool:
    if name.startswith(_FOR_TESTS) or _OF_KUBERNETES.fullmatch(name):
        return True
    return name.endswith("_PORT") and bool(_KUBERNETES_PORT.match(text))
