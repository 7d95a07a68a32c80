"""The bounds of a run, as its settings have them: `bounds.duplicates`, `bounds.stall_s` and so on, as texts."""

from collections.abc import Mapping

import msgspec

from webhookd_load_test.compare.unusable_folder import UnusableFolderError
from webhookd_load_test.run_folder.bounds import Bounds

PREFIX = "bounds."
_NONE = {"", "None", "none"}


def bounds_in(settings: Mapping[str, str]) -> Bounds:
    """The bounds; those that are not set are the scenario's defaults. Raises UnusableFolderError with the field."""
    known = {
        name.removeprefix(PREFIX): None if value in _NONE else value
        for name, value in settings.items()
        if name.startswith(PREFIX)
    }
    try:
        return msgspec.convert(known, type=Bounds, strict=False)
    except msgspec.ValidationError as error:
        raise UnusableFolderError(f"run.json: settings.{PREFIX}*: {error}") from None
