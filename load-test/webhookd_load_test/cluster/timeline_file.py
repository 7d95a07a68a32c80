"""Reads a timeline file: TOML with the [[timeline]] entries of a scenario file."""

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from webhookd_load_test.cluster.timeline import Step
from webhookd_load_test.cluster.timeline_check import UnusableTimelineError


class TimelineFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    timeline: Annotated[list[Step], Meta(min_length=1)]


def read(file: Path) -> list[Step]:
    """Read a timeline. Raises UnusableTimelineError, which names the file."""
    try:
        return msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), type=TimelineFile).timeline
    except OSError as error:
        raise UnusableTimelineError(f"{file}: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UnusableTimelineError(f"{file}: {error}") from None
