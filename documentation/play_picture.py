"""Draw docs/pictures/play-light.svg and play-dark.svg from a run of `make play`: `make picture`.

The script does what the play tells its reader: it makes the endpoint fail, mends it, and presses Ctrl-C. The text is
what the play prints where there is no terminal, with coloured labels. Lines of webhookd's processes, and some of those
that repeat or only help the reader of the terminal, are left out.
"""

import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from rich.text import Text

from documentation.terminal_picture import draw

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = 118
MINUTE_S = 60

STYLES = {
    "play": "cyan",
    "orders": "blue",
    "receiver": "green",
    "mail": "magenta",
}
"""The colours of the labels that are shown."""

LEFT_OUT = (
    r"play +\| (POST|not ready|\{| ).*",
    r"play +\| (starting api|Then the status|The waits|Next steps).*",
    r"(receiver|mail) +\|",
    r"receiver +\| (listening|received).*",
)
"""Lines that are left out without a mark."""

MARKED = (
    r"receiver +\| (Host|User-Agent|Accept|Accept-Encoding|Content-Type|Content-Length|webhook-timestamp): .*",
    r"receiver +\| POST /hook → 500 .*",
    r"mail +\| (From|To|Deliveries|What|  ).*",
)
"""Lines in whose place there is one `…`."""

KEPT = (r"play +\|   (make the endpoint fail|mend the endpoint) .*",)
FAILURES_SHOWN = 2


def main() -> None:
    """Run the play and draw both pictures; exits with 1 when it did not come to its end."""
    process = subprocess.Popen([sys.executable, "-m", "stack", "play"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        lines = list(_played(process))
    finally:
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=2 * MINUTE_S)[0].splitlines()
    if process.returncode != 0 or not rest:
        sys.exit("the play did not end in order, so nothing is drawn")
    draw("play", [styled(line) for line in ("$ make play", *shortened([*lines, "^C", *rest]))], COLUMNS)


def _played(process: "subprocess.Popen[str]") -> Iterator[str]:
    """Yield the lines until the play has said what to do after the recovery, and act on those that ask for it."""
    fail, answered = "", 0
    for line in map(str.rstrip, process.stdout or ()):
        yield line
        change = re.search(r"(http://\S+/receiver\?status=\d+)'", line)
        if change is not None and "=500" in change[1]:
            fail = change[1]
        elif change is not None:
            _put(change[1])
        elif "→ 200" in line and (answered := answered + 1) == FAILURES_SHOWN:
            _put(fail)
        elif "your own Kafka" in line:
            return
    sys.exit("the play has ended early, so nothing is drawn")


def _put(url: str) -> None:
    urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=MINUTE_S).close()  # noqa: S310 - the play's own URL


def shortened(lines: list[str]) -> Iterator[str]:
    """The lines without those that are left out."""
    failures, last = 0, ""
    for line in lines:
        failures += "→ 500" in line
        marked = _is_one_of(MARKED, line) and not ("→ 500" in line and failures <= FAILURES_SHOWN)
        shown = f"{line.partition('|')[0]}| …" if marked else line
        if _is_shown(line) and not (marked and shown == last):
            yield shown
            last = shown


def _is_shown(line: str) -> bool:
    label = line.partition("|")[0].strip()
    return line == "^C" or (label in STYLES and (_is_one_of(KEPT, line) or not _is_one_of(LEFT_OUT, line)))


def _is_one_of(patterns: tuple[str, ...], line: str) -> bool:
    return any(re.fullmatch(pattern, line) for pattern in patterns)


def styled(line: str) -> Text:
    """The line with its label in colour."""
    label, bar, _ = line.partition("|")
    text = Text(line)
    text.stylize(STYLES.get(label.strip(), "bold blue" if line.startswith("$") else "white"), 0, len(label + bar))
    return text


if __name__ == "__main__":
    main()
