"""Which page of docs/reference is made by what."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from documentation.reference.api_page import api_page
from documentation.reference.codes_page import codes_page
from documentation.reference.commands_page import commands_page
from documentation.reference.metrics_page import metrics_page
from documentation.reference.problem_pages import problem_pages
from documentation.reference.settings_page import settings_page

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "reference"

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "api.md": api_page,
    "codes.md": codes_page,
    "commands.md": commands_page,
    "metrics.md": metrics_page,
    "settings.md": settings_page,
    **problem_pages(),
}
"""By file name; each call returns the page as it has to be."""
