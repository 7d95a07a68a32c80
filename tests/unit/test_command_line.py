"""What `webhookd` says of itself on the command line."""

import gc

from click.testing import CliRunner

from command.main import main
from webhookd import __version__


def test_version_is_the_package_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"webhookd, version {__version__}\n"


def test_command_runs_with_garbage_collection() -> None:
    assert CliRunner().invoke(main, ["completion", "--help"]).exit_code == 0
    assert gc.isenabled()
