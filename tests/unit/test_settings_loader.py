"""Everything that is wrong with the settings of a process is found in one go, without connecting to anything."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from command.loading import CHECKS
from webhookd.configuration.forms import Form, form_of, is_hidden, is_list, is_number, kind_of, written
from webhookd.errors import UnusableSettings
from webhookd.settings import Settings
from webhookd.settings_loader import Check, load_settings

FIELDS = Settings.model_fields
ITEMS = {
    "api_cors_origins": ("https://a.example", "https://b.example:8443"),
    "egress_allow": ("10.0.0.0/8", "::1"),
    "egress_forbid": ("8.8.8.0/24", "64:ff9b::/96"),
    "egress_allow_hosts": ("a.example", "*.b.example"),
    "egress_forbid_hosts": ("c.example", "*.d.example"),
    "egress_allow_ports": ("443", "8000-8999"),
    "egress_forbid_ports": ("25", "1-24"),
    "operator_emails": ("a@example.com", "b@example.com"),
    "api_trusted_proxies": ("10.0.0.0/8", "::1"),
    "host_rate_limits": ("a.example=50", "*.b.example=0.5"),
    "host_max_concurrent": ("a.example=4", "*.b.example=2"),
    "log_levels": ("workers.ingest=debug", "librdkafka=error"),
}
"""Two items of each list."""

OFF_WHEN_EMPTY = {"metrics_bind"}
"""What has rules, but may be empty: this switches it off."""


def may_be_empty(field: FieldInfo) -> bool:
    """Whether the setting may be not set: it is not by default, or it is a text whose form has no rules."""
    return not written(field.default) or (
        field.annotation is str and not any(isinstance(m, Form) for m in field.metadata)
    )


def lines(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str], checks: Sequence[Check] = ()) -> list[str]:
    """The error lines for this environment; none when it can be used."""
    for name, text in environment.items():
        monkeypatch.setenv(f"WEBHOOKD_{name}", text)
    try:
        load_settings(checks)
    except UnusableSettings as error:
        return str(error).splitlines()
    return []


def test_all_that_is_wrong_is_found_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "LEASE_S": "-3",
        "REDIS_ULR": "redis://:hunter2@host",
        "EGRESS_ALLOW": "10.0.0.0/33",
        "EGRESS_CA_FILE": "/nowhere/ca.pem",
        "EGRESS_PROXY": "socks5://user:hunter2@host:1",
        "DATABASE_URL": "mysql://user:hunter2@host/name",
        "REDIS_URL": "http://:hunter2@host",
        "SMTP_HOST": "mail",
        "OPERATOR_EMAILS": "a@example.com,hunter",
        "DELIVERY_BYTES": "8388609",
        "INGEST_MEMBER_TIMEOUT_S": "2",
        "KAFKA_GROUP_PROTOCOL": "newest",
        "API_BIND": "8080",
    }
    found = lines(monkeypatch, wrong, CHECKS)
    assert [line.split(":")[0].removeprefix("WEBHOOKD_") for line in found] == [
        "REDIS_ULR",
        "KAFKA_GROUP_PROTOCOL",
        "REDIS_URL",
        "DATABASE_URL",
        "LEASE_S",
        "EGRESS_ALLOW",
        "API_BIND",
        "DELIVERY_BYTES",
        "INGEST_MEMBER_TIMEOUT_S",
        "EGRESS_CA_FILE",
        "EGRESS_PROXY",
        "OPERATOR_EMAILS",
    ]
    assert 'WEBHOOKD_LEASE_S: "-3" is less than 0.1: write a number of seconds from 0.1 to 3600' in found
    assert "WEBHOOKD_EGRESS_CA_FILE: /nowhere/ca.pem: No such file or directory" in found
    assert [line for line in found if "hunter2" in line] == []


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        (
            {"LANE_BUFFER_BYTES": "1000000"},
            "DELIVERY_BYTES: must not be more than WEBHOOKD_LANE_BUFFER_BYTES, which is ",
        ),
        ({"PROCESS_BUFFER_BYTES": "4194304"}, "LANE_BUFFER_BYTES: must not be more than WEBHOOKD_PROCESS_BUFFER_BYTES"),
        ({"CONTROL_READ_INTERVAL_S": "5"}, "INGEST_MEMBER_TIMEOUT_S: must be at least 3 times WEBHOOKD_CONTROL_READ_I"),
        ({"SMTP_CA_FILE": __file__, "SMTP_SECURITY": "none"}, "SMTP_CA_FILE: is not used while WEBHOOKD_SMTP_SECURITY"),
        ({"SMTP_PASSWORD": "hunter2"}, "SMTP_PASSWORD: needs WEBHOOKD_SMTP_USER"),
        ({"SMTP_HOST": "mail"}, "MAIL_FROM: must be set when WEBHOOKD_SMTP_HOST is set"),
        ({"SMTP_HOST": "mail", "MAIL_FROM": "webhookd"}, "MAIL_FROM: is not an e-mail address: it has no @"),
        ({"EGRESS_CLIENT_KEY_FILE": __file__}, "EGRESS_CLIENT_KEY_FILE: needs WEBHOOKD_EGRESS_CLIENT_CERT_FILE"),
        ({"EGRESS_CA_FILE": __file__}, f"EGRESS_CA_FILE: {__file__}: not a certificate"),
        ({"EGRESS_CA_FILE": str(Path(__file__).parent)}, f"EGRESS_CA_FILE: {Path(__file__).parent}: Is a directory"),
    ],
)
def test_contradiction_is_one_line(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], line: str) -> None:
    (found,) = lines(monkeypatch, environment, CHECKS)
    assert found.startswith(f"WEBHOOKD_{line}")


def test_contradiction_with_a_refused_value_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    found = lines(monkeypatch, {"DELIVERY_BYTES": "10000000", "LANE_BUFFER_BYTES": "16 MiB"})
    assert [line.split(":")[0] for line in found] == ["WEBHOOKD_LANE_BUFFER_BYTES"]


@pytest.mark.parametrize("name", ITEMS)
@pytest.mark.parametrize("text", ["{0},{1}", " {0} , {1} ", '["{0}", "{1}"]'])
def test_list_is_written_with_commas_or_as_json(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(f"WEBHOOKD_{name.upper()}", text.format(*ITEMS[name]))
    assert getattr(load_settings(), name) == ITEMS[name]


def test_each_list_is_in_these_tests() -> None:
    assert {name for name, field in FIELDS.items() if is_list(kind_of(field.annotation))} == ITEMS.keys()


@pytest.mark.parametrize(
    "name", [name for name, field in FIELDS.items() if not may_be_empty(field) and name not in OFF_WHEN_EMPTY]
)
def test_empty_variable_of_what_must_be_set_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    line = f"WEBHOOKD_{name.upper()}: is empty: write {form_of(name, FIELDS[name])}"
    assert lines(monkeypatch, {name.upper(): ""}) == [line]


@pytest.mark.parametrize("name", [name for name, field in FIELDS.items() if may_be_empty(field)])
def test_empty_variable_of_what_may_be_left_out_is_not_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"WEBHOOKD_{name.upper()}", "")
    assert not written(getattr(load_settings(), name))


@pytest.mark.parametrize("name", [name for name, field in FIELDS.items() if is_number(kind_of(field.annotation))])
def test_each_number_has_both_bounds(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    bounds = FIELDS[name].metadata
    low = [bound for bound in bounds if isinstance(bound, Ge | Gt)]
    high = [bound for bound in bounds if isinstance(bound, Le | Lt)]
    assert (len(low), len(high)) == (1, 1)
    for text in ("-1", "nan", "inf", "1e300", "x"):
        (line,) = lines(monkeypatch, {name.upper(): text})
        assert line.startswith(f'WEBHOOKD_{name.upper()}: "{text}" is ')


@pytest.mark.parametrize("name", [name for name, field in FIELDS.items() if is_hidden(field)])
def test_refused_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert "hunter2" not in "".join(lines(monkeypatch, {name.upper(): "hunter2"}))


def test_setting_that_may_contain_a_password_is_hidden() -> None:
    suspects = [
        name for name in FIELDS if name.endswith(("_url", "_password", "_secret", "_token", "_login", "_proxy"))
    ]
    assert suspects
    assert [name for name in suspects if not is_hidden(FIELDS[name])] == []


def test_argument_replaces_what_the_environment_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOKD_LEASE_S", "-3")
    assert load_settings(lease_s=2.0).lease_s == 2.0


def test_settings_that_differ_are_those_that_were_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOKD_LEASE_S", "3")
    monkeypatch.setenv("WEBHOOKD_STOP_BUDGET_S", "20")
    monkeypatch.setenv("WEBHOOKD_FLOWER_LOGIN", "user:hunter2")
    assert load_settings().changed() == {"lease_s": "3", "flower_login": "****"}


@pytest.mark.parametrize(
    ("bind", "refused"),
    [
        ("127.0.0.1:8080", False),
        ("127.1.2.3:1", False),
        ("localhost:8080", False),
        ("[::1]:8080", False),
        ("0.0.0.0:8080", True),
        ("[::]:8080", True),
        ("10.0.0.1:8080", True),
        ("localhost.example.com:8080", True),
    ],
)
def test_an_api_without_keys_listens_on_loopback_only(
    monkeypatch: pytest.MonkeyPatch, bind: str, *, refused: bool
) -> None:
    assert lines(monkeypatch, {"API_BIND": bind}, CHECKS) == []
    found = lines(monkeypatch, {"API_BIND": bind, "API_AUTH": "none"}, CHECKS)
    assert [line.split(":")[0] for line in found] == ["WEBHOOKD_API_AUTH"] * refused
