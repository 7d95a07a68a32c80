"""docs/reference/settings.md: every setting of webhookd/settings.py by subject."""

from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo

from documentation.reference.markdown import code, page, table
from webhookd.configuration.environment import variable
from webhookd.configuration.forms import form_of, written
from webhookd.configuration.subject import Subject
from webhookd.settings import Settings

INTRODUCTION = """\
webhookd reads its settings once, when a process starts, from environment variables. `webhookd settings` prints each
with its value in this environment, `webhookd settings NAME` one of them, and `webhookd settings --check` says whether a
process could start with them.

A *list* is written with commas, `WEBHOOKD_EGRESS_ALLOW=10.0.0.0/8,192.168.0.0/16`, or as JSON,
`WEBHOOKD_EGRESS_ALLOW='["10.0.0.0/8"]'`; an empty variable is a list without items. A variable that may be *not set*
may also be empty. Words such as `json` may be written in any case. A *secret* is masked wherever settings are printed
or logged.

What cannot be used ends every command with exit code 2 before it starts any work. Each such setting is one line on
stderr:

```text
WEBHOOKD_LEASE_S: "-3" is less than 0.1: write a number of seconds from 0.1 to 3600
WEBHOOKD_REDIS_ULR: there is no such setting; did you mean WEBHOOKD_REDIS_URL?
```

A variable that begins with `WEBHOOKD_` and is no setting is refused, because a setting whose name is spelled wrong
would be ignored. Exceptions are names that begin with `WEBHOOKD_TEST_`, and those that Kubernetes sets for a Service
whose name begins with `webhookd`."""


def settings_page() -> str:
    """The whole page."""
    return page("Settings", INTRODUCTION, *(block for subject in Settings.subjects() for block in _group(subject)))


def _group(subject: type[Subject]) -> Iterator[str]:
    yield f"## {subject.title()}"
    rows = [_row(name, field) for name, field in subject.model_fields.items()]
    yield table(["Variable, form and default", "What it is for"], rows)


def _row(name: str, field: FieldInfo) -> list[str]:
    about = f"{code(variable(name))}<br>{form_of(name, field)}<br>{_default(name, field)}"
    return [about, field.description or ""]


def _default(name: str, field: FieldInfo) -> str:
    text = written(field.default)
    return " ".join(["default", code(text), *_in_words(name, field.default)]) if text else "not set"


def _in_words(name: str, value: Any) -> Iterator[str]:  # noqa: ANN401  # a default of any type
    if name.endswith("_bytes"):
        mebibytes, rest = divmod(int(value), 1 << 20)
        yield f"({mebibytes} MiB)" if not rest else f"({int(value) >> 10} KiB)"
    elif name.endswith("_s") and value >= 86400:
        yield f"({value / 86400:g} days)"
    elif name.endswith("_s") and value >= 3600:
        yield f"({value / 3600:g} h)"
