"""Draws lines of a terminal as SVG, in the two appearances that GitHub has."""

import io
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures"

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


def draw(name: str, lines: Sequence[Text], columns: int) -> None:
    """Write `{name}-light.svg` and `{name}-dark.svg`; what is longer than the columns is cut."""
    FOLDER.mkdir(exist_ok=True)
    for appearance, theme in THEMES.items():
        console = Console(record=True, width=columns, file=io.StringIO(), legacy_windows=False)
        for line in lines:
            console.print(line, overflow="ellipsis", no_wrap=True)
        picture = console.export_svg(title="webhookd", theme=theme, code_format=FORMAT, unique_id=name)
        (FOLDER / f"{name}-{appearance}.svg").write_text(picture, encoding="utf-8")
