"""The checks of the documentation site.

Oracle: small navigations, pages and style sheets written here, each with one mistake or none.
"""

from pathlib import Path
from typing import Any

import pytest

from documentation.checks import diagram_complaints, loading_complaints, navigation_complaints

NAVIGATION: list[dict[str, Any]] = [{"Overview": "index.md"}, {"How-to": [{"Filter": "how-to/filter.md"}]}]


def write(folder: Path, pages: dict[str, str]) -> Path:
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_complete_navigation_is_accepted(tmp_path: Path) -> None:
    pages = write(tmp_path, {"index.md": "", "how-to/filter.md": ""})
    assert list(navigation_complaints(NAVIGATION, pages)) == []


def test_page_outside_the_navigation_is_named(tmp_path: Path) -> None:
    pages = write(tmp_path, {"index.md": "", "how-to/filter.md": "", "how-to/batch.md": ""})
    assert list(navigation_complaints(NAVIGATION, pages)) == ["navigation: how-to/batch.md is missing"]


def test_page_that_does_not_exist_is_named(tmp_path: Path) -> None:
    pages = write(tmp_path, {"index.md": ""})
    assert list(navigation_complaints(NAVIGATION, pages)) == ["navigation: how-to/filter.md does not exist"]


def test_page_named_twice_is_named(tmp_path: Path) -> None:
    pages = write(tmp_path, {"index.md": "", "how-to/filter.md": ""})
    complaints = navigation_complaints([*NAVIGATION, {"Again": "index.md"}], pages)
    assert list(complaints) == ["navigation: index.md is named twice"]


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example/a.js"></script>',
        '<script src="//cdn.example/a.js"></script>',
        '<link rel="stylesheet" href="https://cdn.example/a.css">',
        '<link rel="preconnect" href="https://cdn.example">',
        '<img src="https://cdn.example/a.png">',
        '<img src="a.png" srcset="a.png 1x, https://cdn.example/b.png 2x">',
        '<p style="background: url(https://cdn.example/a.png)">',
        '<style>@import "https://cdn.example/a.css";</style>',
        '<style>@font-face { src: url("//cdn.example/a.woff2") }</style>',
    ],
)
def test_page_that_loads_from_another_host_is_named(tmp_path: Path, html: str) -> None:
    complaints = list(loading_complaints(write(tmp_path, {"a/page.html": html})))
    assert len(complaints) == 1
    assert complaints[0].startswith("a/page.html: loads ")
    assert "cdn.example" in complaints[0]


def test_style_sheet_that_loads_from_another_host_is_named(tmp_path: Path) -> None:
    site = write(tmp_path, {"site.css": "p { background: url('https://cdn.example/a.png') }"})
    assert list(loading_complaints(site)) == ["site.css: loads https://cdn.example/a.png"]


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://jmespath.org">a link is followed, not loaded</a>',
        '<script src="../assets/a.js"></script><link rel="icon" href="/favicon.png">',
        '<img src="data:image/png;base64,AAAA">',
        "<p>url(https://cdn.example/a.png) in a text</p>",
    ],
)
def test_page_that_loads_nothing_from_elsewhere_is_accepted(tmp_path: Path, html: str) -> None:
    assert list(loading_complaints(write(tmp_path, {"page.html": html}))) == []


def test_diagram_that_cannot_be_drawn_is_named(tmp_path: Path) -> None:
    text = "# Page\n\n```mermaid\nsequenceDiagram\nparticipant K as Kafka\nK->>X: hello\n```\n"
    pages = write(tmp_path, {"page.md": text})
    assert list(diagram_complaints(pages)) == ["page.md: diagram: not a participant: X"]
