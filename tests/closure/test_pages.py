"""What README.md and docs/ promise about themselves: blocks say what they are, links lead to files.

Oracles: the pages' own text, the Makefile's targets, the files of the checkout, the API's schema. What the blocks do is
seen in tests/acceptance/test_readme_blocks.py and tests/integration/api/test_documented_requests.py.
"""

import json
import re
from pathlib import Path

import pytest

from api.resources.subscription.schemas import SubscriptionSchema
from tests.harness.pages import API_PAGES, OTHER_TESTS, PAGES, ROOT, blocks, pages, run_elsewhere

README = ROOT / "README.md"
README_LINES = 150
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
WITH_SUBSCRIPTION = {"alerts.md", "batch.md", "filter.md", "register.md", "retry.md"}
"""How-to pages that show a whole subscription."""

LOCAL = "http://127.0.0.1:"
"""URLs in the text of a picture, which nothing follows."""

PICTURES = sorted((ROOT / "docs" / "pictures").glob("*.svg"))

every_page = pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))


def links_of(page: Path) -> list[str]:
    """The links to files of this repository, without their anchors."""
    found = [one or other for one, other in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8")))]
    return [link.partition("#")[0] for link in found if "://" not in link and not link.startswith(("#", "mailto:"))]


def test_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= README_LINES


@every_page
def test_block_says_what_it_is(page: Path) -> None:
    assert [block.place for block in blocks(page) if not block.info] == []


@every_page
def test_link_leads_to_a_file(page: Path) -> None:
    assert [link for link in links_of(page) if not (page.parent / link).exists()] == []


def test_api_accepts_each_subscription_of_the_how_to_pages() -> None:
    documents = [
        (block.place, json.loads(block.text.rpartition("\n\n")[2]))
        for page in pages()
        for block in blocks(page)
        if "how-to" in block.page and '"destination"' in block.text and block.info != "bash"  # those are run
    ]
    assert {place.rpartition("/")[2].partition(":")[0] for place, _ in documents} >= WITH_SUBSCRIPTION
    assert {place: errors for place, one in documents if (errors := SubscriptionSchema().validate(one))} == {}


def test_blocks_left_to_other_tests_are_those_listed() -> None:
    bash = [block for page in pages() for block in blocks(page) if block.info == "bash"]
    assert README in PAGES
    excused = [line for block in bash if run_elsewhere(block) for line in block.text.splitlines()]
    assert {command for command in OTHER_TESTS if any(line.startswith(command) for line in excused)} == set(OTHER_TESTS)
    runs = (ROOT / "tests/integration/api/test_documented_requests.py").read_text()
    assert {page for page in API_PAGES if f'run("{page}"' in runs} == API_PAGES


def test_make_knows_what_pages_ask_it_for() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    asked = {
        name
        for page in pages()
        for block in blocks(page)
        for name in re.findall(r"^(?:\$ )?make ([a-z-]+)", block.text, flags=re.MULTILINE)
    }
    assert asked
    assert asked - targets == set()


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_picture_loads_nothing_from_elsewhere(picture: Path) -> None:
    named = re.findall(r"https?://[^\"')<\s]+", picture.read_text())
    assert {url for url in named if not url.startswith(LOCAL)} == {"http://www.w3.org/2000/svg"}


def test_every_picture_that_is_drawn_is_shown() -> None:
    assert PICTURES
    shown = {Path(link).name for page in (README, *pages()) for link in links_of(page) if "pictures/" in link}
    assert {picture.name for picture in PICTURES} <= shown
