"""Draw docs/pictures/demo-light.svg and demo-dark.svg from a run of the demo: `make picture`.

The text in them is what `webhookd demo` prints where there is no terminal; nothing is changed but its colours.
"""

import io
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "pictures"

SECONDS = 5
WIDTH = 107
"""Columns: as many as the demo's table has."""

THEMES = {
    "light": TerminalTheme(
        (246, 248, 250),
        (31, 35, 40),
        [
            (31, 35, 40),
            (207, 34, 46),
            (17, 99, 41),
            (77, 45, 0),
            (9, 105, 218),
            (130, 80, 223),
            (27, 124, 131),
            (89, 99, 110),
        ],
    ),
    "dark": TerminalTheme(
        (21, 27, 35),
        (230, 237, 243),
        [
            (230, 237, 243),
            (255, 123, 114),
            (63, 185, 80),
            (210, 153, 34),
            (88, 166, 255),
            (188, 140, 255),
            (57, 197, 207),
            (145, 152, 161),
        ],
    ),
}
"""Background, foreground, and the colours black to white, as GitHub has them in its two appearances."""

STYLES = {
    r"^\$ .*$": "bold blue",
    r"^first delivery .*$": "cyan",
    r"^ +\d+\.\d s .*$": "white",
    r"^  subscription .*$": "bold",
    r"^ ─+ $": "white",
    r"^p50 and p99: .*$": "white",
    r"^Nothing lost.*$": "bold green",
}
"""What becomes of a line, by what it says."""

FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
  <style>
    .{unique_id}-matrix {{
      font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
      font-size: {char_height}px;
      line-height: {line_height}px;
    }}
    .{unique_id}-title {{ font: bold 18px sans-serif; }}
    {styles}
  </style>
  <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
  </defs>
  {chrome}
  <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
  </g>
</svg>
"""
"""rich's own format without its fonts, which a browser would load from somebody else's server."""


def main() -> None:
    """Run the demo and draw both pictures; exits with 1 when the demo failed."""
    ended = subprocess.run(
        [sys.executable, "-m", "command.main", "demo", "--seconds", str(SECONDS)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        sys.exit(f"the demo failed, so nothing is drawn:\n{ended.stdout}")
    FOLDER.mkdir(exist_ok=True)
    for name, theme in THEMES.items():
        picture = drawn(f"$ make demo SECONDS={SECONDS}\n{ended.stdout}", theme)
        (FOLDER / f"demo-{name}.svg").write_text(picture, encoding="utf-8")
    print(ended.stdout, end="")


def drawn(text: str, theme: TerminalTheme) -> str:
    """The text as a terminal shows it, in SVG."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), legacy_windows=False)
    for line in text.splitlines():
        style = next((style for pattern, style in STYLES.items() if re.match(pattern, line)), "")
        console.print(Text(line.rstrip(), style=style), overflow="crop", no_wrap=True)
    return console.export_svg(title="webhookd", theme=theme, code_format=FORMAT, unique_id="demo")


if __name__ == "__main__":
    main()
