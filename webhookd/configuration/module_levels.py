"""Levels of the log for single modules and libraries, as a setting has them: `workers.ingest=debug`."""

import logging
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator

from webhookd.configuration.forms import Form

LEVELS: Final = ("debug", "info", "warning", "error")

PACKAGES: Final = ("webhookd", "workers", "api", "command")
"""webhookd's own packages; a name must be one of them or of a module in them."""

LIBRARIES: Final = (
    "alembic",
    "asyncio",
    "celery",
    "flower",
    "gunicorn",
    "kombu",
    "librdkafka",
    "opentelemetry",
    "py",
    "redis",
    "tornado",
)
"""Libraries whose lines are in the log. SQLAlchemy and urllib3 are not among them: at debug they log rows and URLs."""


def parse_levels(texts: Iterable[str]) -> dict[str, int]:
    """Return logging's number for each level by its module. The texts were validated."""
    pairs = [_split(text) for text in texts]
    return {name: logging.getLevelNamesMapping()[level.upper()] for name, level in pairs}


def _module_level(text: str) -> str:
    if "=" not in text:
        raise ValueError("has no `=`")
    name, level = _split(text)
    if level not in LEVELS:
        raise ValueError(f"has a level that is not one of {', '.join(LEVELS)}")
    top, *below = name.split(".")
    if top in PACKAGES:
        if not _exists(top, below):
            raise ValueError("has a module that webhookd does not have")
    elif top not in LIBRARIES:
        raise ValueError(f"has a module that begins with none of {', '.join((*PACKAGES, *LIBRARIES))}")
    return f"{name}={level}"


def _split(text: str) -> tuple[str, str]:
    name, _, level = text.partition("=")
    return name.strip(), level.strip().lower()


def _exists(package: str, below: list[str]) -> bool:
    """Whether there is such a module. Nothing is imported: a worker does not need the API."""
    spec = find_spec(package)
    if spec is None or spec.origin is None or not all(below):
        return False
    place = Path(spec.origin).parent.joinpath(*below)
    return place.joinpath("__init__.py").is_file() or (bool(below) and place.with_suffix(".py").is_file())


def _distinct(texts: tuple[str, ...]) -> tuple[str, ...]:
    names = [_split(text)[0] for text in texts]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"has {twice} twice")
    return texts


ModuleLevel = Annotated[str, AfterValidator(_module_level), Form("a module and a level like `workers.ingest=debug`")]
ModuleLevels = Annotated[tuple[ModuleLevel, ...], AfterValidator(_distinct)]
