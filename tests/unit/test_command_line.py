"""What `webhookd` says of itself on the command line."""

from click.testing import CliRunner

from command.main import main
from webhookd import __version__


def test_version_is_the_package_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"webhookd, version {__version__}\n"


def test_help_keeps_each_way_to_start_on_its_line() -> None:
    lines = CliRunner().invoke(main, ["--help"]).output.splitlines()
    begun = [line.split(":")[0].strip() for line in lines if ":  " in line]
    assert begun[:3] == ["Try it", "One endpoint", "A service"]


def test_settings_are_listed_by_subject() -> None:
    output = CliRunner().invoke(main, ["settings"]).output
    subjects = [line for line in output.splitlines() if line.startswith("#")]
    assert subjects[:2] == ["# Kafka", "# Redis and database"]
