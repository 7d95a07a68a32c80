"""Takes a picture of a report with a browser, for the documentation."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

Appearance = Literal["light", "dark"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
APPEARANCES: dict[Appearance, int] = {"dark": 0, "light": 1}
"""The browser's own numbers of `prefers-color-scheme`."""

LASTS_AT_MOST_S = 60.0
LOW_PX = 200
"""The window's height while the page is measured: below that of any report."""

MEASURE = "<script>document.documentElement.dataset.height = document.documentElement.scrollHeight</script>"
HEIGHT = re.compile(r'data-height="(\d+)"')


class NoPictureError(Exception):
    """There is no picture: the message says why."""


def browser() -> str:
    """The program that takes the picture. Raises NoPictureError when none is installed."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    raise NoPictureError(f"no browser to take a picture with: none of {', '.join(BROWSERS)} is installed")


def take_picture(
    report: Path,
    picture: Path,
    *,
    appearance: Appearance = "light",
    width_px: int = 1000,
    height_px: int | None = None,
) -> None:
    """Write a PNG of the report, as wide as told; of its top, if it has a height, else of the whole.

    Blocks for seconds, a minute at most for each of two runs of the browser.

    Raises NoPictureError.
    """
    program = browser()
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / "report.html"
        page.write_text(report.read_text(encoding="utf-8") + MEASURE, encoding="utf-8")
        command = [
            program,
            "--headless",
            "--no-sandbox",  # it does not start as root with one, and the page is our own, without a script
            "--hide-scrollbars",
            f"--user-data-dir={scratch}/profile",
            f"--blink-settings=preferredColorScheme={APPEARANCES[appearance]}",
        ]
        high_px = height_px or _height_px(command, page, width_px)
        taken = Path(scratch) / "picture.png"
        _run([*command, f"--window-size={width_px},{high_px}", f"--screenshot={taken}", page.as_uri()])
        if not taken.exists():
            raise NoPictureError(f"{program} has taken no picture")
        shutil.copyfile(taken, picture)


def _height_px(command: list[str], page: Path, width_px: int) -> int:
    found = HEIGHT.search(_run([*command, f"--window-size={width_px},{LOW_PX}", "--dump-dom", page.as_uri()]))
    if found is None:
        raise NoPictureError(f"{command[0]} has not loaded the report")
    return int(found[1])


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LASTS_AT_MOST_S)
    except subprocess.TimeoutExpired:
        raise NoPictureError(f"{command[0]} did not end within {LASTS_AT_MOST_S:.0f} s") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise NoPictureError(f"{command[0]} ended with exit code {error.returncode}: {last}") from None
    return done.stdout
