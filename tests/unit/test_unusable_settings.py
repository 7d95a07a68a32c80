"""Every command refuses unusable settings with one line each and exit code 2; help and completion need no settings."""

import runpy
import signal
import sys
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from command.main import MODULES, main

ARGUMENTS = {
    "api": "",
    "cluster": "",
    "demo": "--seconds 0.5",
    "flower": "",
    "egress": "http://127.0.0.1:1/",
    "ingest": "",
    "keys create": "--role admin",
    "keys list": "",
    "keys revoke": "0",
    "keys rotate": "0",
    "migrate": "",
    "run": "--bootstrap-servers 127.0.0.1:1 --topic t --url http://127.0.0.1:1/",
    "secrets check": "",
    "secrets rotate": "",
    "settings": "",
    "settings --check": "",
    "settings lease_s": "",
    "topic create": "t",
    "topic produce": "t",
    "topic tail": "t",
    "worker": "",
}
"""Arguments with which each command that reads settings gets so far as to read them."""

WITHOUT_SETTINGS = {"completion", "receive"}

BAD = {"WEBHOOKD_LEASE_S": "-3", "WEBHOOKD_REDIS_ULR": "redis://:hunter2@host"}
LINES = [
    "WEBHOOKD_REDIS_ULR: there is no such setting; did you mean WEBHOOKD_REDIS_URL?",
    'WEBHOOKD_LEASE_S: "-3" is less than 0.1: write a number of seconds from 0.1 to 3600',
]


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Give pytest its signal handlers back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def invoke(command: str, environment: dict[str, str]) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, f"{command} {ARGUMENTS.get(command, '')}", env=environment)


@pytest.mark.parametrize("command", ARGUMENTS)
def test_command_refuses_unusable_settings(command: str) -> None:
    result = invoke(command, BAD)
    assert (result.stderr.splitlines(), result.exit_code) == (LINES, 2)


def test_each_command_is_in_these_tests() -> None:
    assert {command.split()[0] for command in ARGUMENTS} | WITHOUT_SETTINGS == set(MODULES)


@pytest.mark.parametrize("command", ["api", "ingest", "worker"])
def test_wrong_network_stops_each_process(command: str) -> None:
    result = invoke(command, {"WEBHOOKD_EGRESS_ALLOW": "10.0.0.0/33"})
    assert result.exit_code == 2
    assert result.stderr.startswith('WEBHOOKD_EGRESS_ALLOW: "10.0.0.0/33" is not a network: write a list')


def test_option_is_named_in_place_of_its_setting() -> None:
    result = CliRunner().invoke(main, ["topic", "create", "t", "--bootstrap-servers", "a:b"])
    assert result.exit_code == 2
    assert result.stderr.startswith("--bootstrap-servers: \"a:b\" has the port 'b'")


def test_celerys_own_commands_refuse_them_as_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in BAD.items():
        monkeypatch.setenv(name, text)
    monkeypatch.delitem(sys.modules, "workers.celery", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("workers.celery")
    assert (capsys.readouterr().err.splitlines(), ended.value.code) == (LINES, 2)


@pytest.mark.parametrize(
    "arguments", ["--version", "--help", "completion zsh", *(f"{name} --help" for name in MODULES)]
)
def test_help_version_and_completion_need_no_settings(arguments: str) -> None:
    result = CliRunner().invoke(main, arguments, env=BAD)
    assert (result.stderr, result.exit_code) == ("", 0)
