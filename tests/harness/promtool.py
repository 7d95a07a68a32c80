"""promtool, which comes with Prometheus: it checks rules, configurations and what a process serves."""

import subprocess
from pathlib import Path

from stack import install
from stack.errors import NotStarted
from tests.harness.services import missing_service


def promtool(*arguments: str | Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool with this standard input; its messages are in `stdout`. Without it the test is skipped or fails."""
    try:
        program = install.require(install.PROMTOOL)
    except NotStarted as reason:
        missing_service(f"no promtool: {reason}")
    return subprocess.run(
        [program, *arguments], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
