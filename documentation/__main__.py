"""`python -m documentation`: build the site strictly and check it; the exit status is 1 when something is wrong."""

import sys
from pathlib import Path

from documentation.build import build
from documentation.checks import complaints

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Build, then print every complaint; return the exit status."""
    site = build(ROOT)
    if site is None:
        return 1
    found = list(complaints(ROOT, site))
    for complaint in found:
        print(complaint, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
