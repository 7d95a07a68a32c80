"""How `webhookd-load-test receive` refuses what it cannot do, before it starts a process.

Oracle: one line, its text, and the exit code.
"""

from pathlib import Path

import pytest
from click.testing import CliRunner

from webhookd_load_test.main import main

SECRET = "whsec_b25lb25lb25lb25lb25lb25lb25lb25l"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "Missing option '--folder'."),
        (["--folder", "f", "--processes", "0"], "0 is not in the range 1<=x<=64."),
        (["--folder", "f", "--port", "65536"], "65536 is not in the range"),
        (["--folder", "f", "--fault", "brake"], "'brake': 'brake' is none of error, limit, timeout, slow; write for "),
        (["--folder", "f", "--secret", SECRET], "is not PATH=whsec_…, with a path that begins with /"),
        (["--folder", "f", "--secret", "/hook=whsk_b25l"], "the secret of /hook is not whsec_ and base64"),
        (["--folder", "f", "--secrets", "missing.json"], "File 'missing.json' does not exist."),
        (["--folder", "f", "--secrets", "bad.json"], "bad.json: Expected `object`, got `array`"),
        (["--folder", "f", "--secrets", "good.json", "--secret", f"/a={SECRET}"], "cannot be used together"),
        (["--folder", "bad.json"], "Directory 'bad.json' is a file."),
    ],
)
def test_unusable_option_is_refused_in_one_line(
    arguments: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.json").write_text("[]", encoding="utf-8")
    Path("good.json").write_text("{}", encoding="utf-8")
    result = CliRunner().invoke(main, ["receive", *arguments])
    assert result.exit_code in {1, 2}
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert reason in result.stderr.splitlines()[-1]
    assert "b25l" not in result.output
    assert isinstance(result.exception, SystemExit)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["bad.json", "good.json"]


def test_help_has_each_option_with_examples() -> None:
    result = CliRunner().invoke(main, ["receive", "--help"])
    assert result.exit_code == 0
    for text in ("--fault KIND[:FIELD=VALUE,…]", "--secret PATH=whsec_…", "error:share=0.1,status=503,from=10,to=20"):
        assert text in result.output
