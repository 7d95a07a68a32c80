"""bash, zsh and fish complete commands, options and names of settings.

Oracle: click's protocol, as each shell's script speaks it; bash itself runs its script.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from command.main import main

WORDS: Mapping[str, Callable[[list[str]], dict[str, str]]] = {
    "bash": lambda words: {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)},
    "zsh": lambda words: {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)},
    "fish": lambda words: {"COMP_WORDS": " ".join(words), "COMP_CWORD": words[-1]},
}
"""How each shell's script passes the words of the line."""


@pytest.mark.parametrize("shell", WORDS)
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("webhookd set", "settings"),
        ("webhookd settings --ch", "--check"),
        ("webhookd settings lease", "WEBHOOKD_LEASE_S"),
    ],
)
def test_word_is_completed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shell: str, line: str, found: str
) -> None:
    environment = {"_WEBHOOKD_COMPLETE": f"{shell}_complete", "WEBHOOKD_LEASE_S": "-3", **WORDS[shell](line.split())}
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(SystemExit):
        main([], prog_name="webhookd")
    out, err = capsys.readouterr()
    assert (found in re.split(r"[,\t\n]", out), err) == (True, "")


@pytest.mark.parametrize("shell", WORDS)
def test_script_asks_in_the_shells_protocol(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert f"_WEBHOOKD_COMPLETE={shell}_complete" in result.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_with_the_script() -> None:
    script = """
        eval "$(webhookd completion bash)"
        COMP_WORDS=(webhookd settings --ch) COMP_CWORD=2
        _webhookd_completion webhookd
        echo "${COMPREPLY[@]}"
    """
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)  # noqa: S607 - the bash of the PATH
    assert (done.stdout, done.stderr) == ("--check\n", "")
