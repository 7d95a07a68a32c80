"""What `webhookd settings` says: the list, the check, and one setting by its name."""

import pytest
from click.testing import CliRunner, Result

from command.main import main


def settings(*arguments: str, **environment: str) -> Result:
    """Run the command with these settings."""
    return CliRunner().invoke(
        main, ["settings", *arguments], env={f"WEBHOOKD_{name}": text for name, text in environment.items()}
    )


def test_list_is_by_subject_and_marks_what_differs() -> None:
    lines = settings(LEASE_S="3", FLOWER_LOGIN="user:hunter2", STOP_BUDGET_S="20").stdout.splitlines()
    assert [line for line in lines if line.startswith("#")][:2] == ["# Kafka", "# Redis and database"]
    assert [line for line in lines if "  # default: " in line] == [
        "WEBHOOKD_LEASE_S=3  # default: 5",
        "WEBHOOKD_FLOWER_LOGIN=****  # default: (not set)",
    ]


@pytest.mark.parametrize("name", ["lease_s", "LEASE_S", "WEBHOOKD_LEASE_S", "webhookd_lease_s"])
def test_one_setting_is_found_by_its_name_in_any_form(name: str) -> None:
    lines = settings(name, LEASE_S="3").stdout.splitlines()
    assert lines[0] == "WEBHOOKD_LEASE_S: a number of seconds from 0.1 to 3600"
    assert lines[1].strip().startswith("A claimed delivery counts as lost")
    assert lines[-2:] == ["default: 5", "value: 3"]


def test_one_setting_is_explained_while_its_value_cannot_be_used() -> None:
    result = settings("lease_s", LEASE_S="x")
    assert result.stdout.splitlines()[0] == "WEBHOOKD_LEASE_S: a number of seconds from 0.1 to 3600"
    assert (result.stderr.count("\n"), result.exit_code) == (1, 2)


def test_unknown_setting_is_answered_with_the_nearest() -> None:
    result = settings("leese_s")
    assert result.stderr == "WEBHOOKD_LEESE_S: there is no such setting; did you mean WEBHOOKD_LEASE_S?\n"
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({}, "0 settings differ from their defaults: ok"),
        ({"LEASE_S": "3"}, "1 setting differs from its default (WEBHOOKD_LEASE_S): ok"),
        (
            {"LEASE_S": "3", "API_BIND": "[::1]:1"},
            "2 settings differ from their defaults (WEBHOOKD_LEASE_S, WEBHOOKD_API_BIND): ok",
        ),
    ],
)
def test_check_says_in_one_line_what_differs(environment: dict[str, str], line: str) -> None:
    result = settings("--check", **environment)
    assert (result.stdout, result.stderr, result.exit_code) == (f"{line}\n", "", 0)
