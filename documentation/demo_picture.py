"""Draw docs/pictures/demo-light.svg and demo-dark.svg from a run of the demo: `make picture`.

The text in them is what `webhookd demo` prints where there is no terminal; nothing is changed but its colours.
"""

import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from documentation.terminal_picture import draw

ROOT = Path(__file__).resolve().parents[1]

SECONDS = 5
WIDTH = 120
"""Columns; longer lines are continued on the next one, as a terminal does it."""

STYLES = {
    r"^\$ .*$": "bold blue",
    r"^(An order|The filter|Its endpoint|Its status|Now |Next steps).*$": "bold cyan",
    r"^ +\d+\.\d s  (failing|no failed attempt).*$": "yellow",
    r"^ +\d+\.\d s  (the endpoint|recovered).*$": "green",
    r"^ +\d+\.\d s .*$": "white",
    r"^  subscription .*$": "bold",
    r"^ ─+ $": "white",
    r"^p50 and p99: .*$": "white",
    r"^Nothing lost.*$": "bold green",
}
"""What becomes of a line, by what it says."""


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
    lines = f"$ make demo SECONDS={SECONDS}\n{ended.stdout}".splitlines()
    draw("demo", [part for line in lines for part in styled(line).wrap(Console(), WIDTH)], WIDTH)
    print(ended.stdout, end="")


def styled(line: str) -> Text:
    """The line with the colours that its text calls for."""
    style = next((style for pattern, style in STYLES.items() if re.match(pattern, line)), "")
    return Text(line.rstrip(), style=style)


if __name__ == "__main__":
    main()
