"""What `webhookd` says of itself on the command line."""

from click.testing import CliRunner

from command.main import main
from webhookd import __version__


def test_version_is_the_package_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"webhookd, version {__version__}\n"
