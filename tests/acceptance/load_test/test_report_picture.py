"""The report as a browser shows it, where one is installed.

Oracle: Chromium's own layout, asked by a script that is added to a copy of the page, and its PNG.
"""

import html
import json
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.unit.load_test import run_folders
from webhookd_load_test.report.html_report import write_report
from webhookd_load_test.report.picture import BROWSERS, Appearance, browser, take_picture

pytestmark = pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no browser is installed")

LAYOUT = """
<script>
const shown = [...document.querySelectorAll("svg")].filter(svg => svg.getBoundingClientRect().width > 0)
const overlaps = [], outside = []
for (const svg of shown) {
  const card = svg.closest(".card") || svg
  const edge = card.getBoundingClientRect()
  const boxes = [...svg.querySelectorAll("text")].map(text => [text.textContent, text.getBoundingClientRect()])
  boxes.forEach(([name, a], place) => {
    if (a.left < edge.left || a.right > edge.right) outside.push(name)
    for (const [other, b] of boxes.slice(place + 1))
      if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3)
        overlaps.push(name + " / " + other)
  })
}
const page = document.documentElement
const found = {overlaps, outside, charts: shown.filter(svg => svg.role === "img" || svg.hasAttribute("role")).length,
  wider: page.scrollWidth - page.clientWidth}
page.dataset.layout = JSON.stringify(found)
</script>
"""


def layout(report: Path, folder: Path, width: int) -> dict[str, object]:
    """What the browser makes of a report in a window of that width."""
    page = folder / "measured.html"
    page.write_text(report.read_text(encoding="utf-8") + LAYOUT, encoding="utf-8")
    command = [
        browser(),
        "--headless",
        "--no-sandbox",
        f"--user-data-dir={folder}/profile",
        f"--window-size={width},900",
    ]
    done = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True, timeout=60
    )
    (told,) = re.findall(r'data-layout="([^"]*)"', done.stdout)
    found: dict[str, object] = json.loads(html.unescape(told))
    return found


@pytest.mark.parametrize("width", [1000, 500])
def test_no_label_covers_another_and_nothing_is_wider_than_the_page(width: int, tmp_path: Path) -> None:
    report = write_report(run_folders.good(tmp_path))
    assert layout(report, tmp_path, width) == {"overlaps": [], "outside": [], "charts": 8, "wider": 0}


def test_whole_page_is_in_the_picture_in_both_appearances(tmp_path: Path) -> None:
    report = write_report(run_folders.failed(tmp_path))
    pictures: dict[Appearance, Path] = {"light": tmp_path / "light.png", "dark": tmp_path / "dark.png"}
    for appearance, picture in pictures.items():
        take_picture(report, picture, appearance=appearance, width_px=900)
    light, dark = (picture.read_bytes() for picture in pictures.values())
    width, height = struct.unpack(">II", light[16:24])
    assert width == 900
    assert height > 3000
    assert struct.unpack(">II", dark[16:24]) == (width, height)
    assert light != dark
    take_picture(report, pictures["light"], width_px=900, height_px=500)
    assert struct.unpack(">II", pictures["light"].read_bytes()[16:24]) == (900, 500)
