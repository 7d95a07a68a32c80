"""What the text of an environment variable stands for, by the type of its setting."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, SecretStr, ValidationError

from webhookd.configuration.refusals import refusals
from webhookd.configuration.subject import Subject
from webhookd.configuration.value_types import BrokerList, HostPort, Login, MailHost, Network, Origin


class Example(Subject):
    """One setting of each type."""

    words: tuple[str, ...] = ("preset",)
    networks: tuple[Network, ...] = ()
    size_bytes: int = Field(default=10, ge=1, le=20)
    wait_s: float = Field(default=1.0, gt=0, lt=5)
    choice: Literal["red", "blue"] = "red"
    text: str = "preset"
    optional: str | None = "preset"
    file: Path | None = Path("preset")
    secret: SecretStr = SecretStr("preset")
    switch: bool = True
    bind: HostPort = "127.0.0.1:80"
    brokers: BrokerList = "127.0.0.1:9092"
    mail_host: MailHost = ""
    login: Login = SecretStr("")
    origins: tuple[Origin, ...] = ()


def read(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> object:
    """What the setting of this name is with this text in the environment."""
    monkeypatch.setenv(f"WEBHOOKD_{name.upper()}", text)
    return getattr(Example(), name)


def refused(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> str:
    """The error line for this text."""
    monkeypatch.setenv(f"WEBHOOKD_{name.upper()}", text)
    with pytest.raises(ValidationError) as raised:
        Example()
    (problem,) = refusals(raised.value, Example.model_fields)
    return str(problem)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("words", "a", ("a",)),
        ("words", "a, b,,c ", ("a", "b", "c")),
        ("words", '["a", "b,c"]', ("a", "b,c")),
        ("words", "", ()),
        ("words", "[]", ()),
        ("networks", "10.0.0.0/8,::1", ("10.0.0.0/8", "::1")),
        ("size_bytes", "20", 20),
        ("wait_s", "2.5", 2.5),
        ("choice", "BLUE", "blue"),
        ("text", "", ""),
        ("optional", "", None),
        ("file", "", None),
        ("file", "a b", Path("a b")),
        ("switch", "false", False),
        ("bind", "[::1]:8080", "[::1]:8080"),
        ("bind", "some-host.internal:8080", "some-host.internal:8080"),
        ("brokers", "a:1, b_c.d, [::1]:9092,SASL_SSL://e:9093", "a:1, b_c.d, [::1]:9092,SASL_SSL://e:9093"),
        ("mail_host", "", ""),
        ("mail_host", "2001:db8::1", "2001:db8::1"),
        ("origins", "https://a.example,https://b.example:8443", ("https://a.example", "https://b.example:8443")),
        ("origins", "http://localhost:3000,http://[::1]", ("http://localhost:3000", "http://[::1]")),
    ],
)
def test_text_stands_for_the_value(monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: object) -> None:
    assert read(monkeypatch, name, text) == value


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("words", '["a"', '"[\\"a\\"" is not JSON at character 5 (Expecting \',\' delimiter)'),
        ("networks", "10.0.0.0/8,10.0.0.0/33", '"10.0.0.0/33" is not a network'),
        ("networks", "10.0.0.0/8 ::1", '"10.0.0.0/8 ::1" is not a network'),
        ("size_bytes", "0", '"0" is less than 1'),
        ("size_bytes", "21", '"21" is more than 20'),
        ("size_bytes", "1.5", '"1.5" is not a whole number'),
        ("size_bytes", "1 kB", '"1 kB" is not a whole number'),
        ("size_bytes", "", "is empty"),
        ("wait_s", "0", '"0" is not above 0'),
        ("wait_s", "5", '"5" is not below 5'),
        ("wait_s", "nan", '"nan" is not a number'),
        ("wait_s", "inf", '"inf" is not a number'),
        ("wait_s", "1s\n2", '"1s\\n2" is not a number'),
        ("choice", "green", '"green" is not known'),
        ("choice", "", "is empty"),
        ("switch", "perhaps", '"perhaps" is neither true nor false'),
        ("switch", "", "is empty"),
        ("bind", "8080", '"8080" has no port'),
        ("bind", ":8080", '":8080" has no host'),
        ("bind", "::1:8080", "\"::1:8080\" has the host '::1', which is neither a name nor an address"),
        ("bind", "[::x]:8080", "\"[::x]:8080\" has '::x' in its brackets, which is not an address"),
        ("bind", "a:0", "\"a:0\" has the port '0', which is not a number from 1 to 65535"),
        ("brokers", "", "is empty"),
        ("brokers", "a:1,b:c", "\"a:1,b:c\" has the port 'c', which is not a number from 1 to 65535"),
        ("brokers", "http://a:1", "\"http://a:1\" has the host 'http://a', which is neither a name nor an address"),
        ("mail_host", "smtp://a", '"smtp://a" is a URL'),
        ("mail_host", "a:25", '"a:25" is not a host name or an address'),
        ("origins", "*", '"*" would let the scripts of every site call the API with a key that they have got hold of'),
        ("origins", "null", '"null" is not an origin in lower case without a path'),
        ("origins", "https://A.example", '"https://A.example" is not an origin in lower case without a path'),
        ("origins", "https://a.example/", '"https://a.example/" is not an origin in lower case without a path'),
        ("origins", "https://*.example", '"https://*.example" has a host or a port that no origin has'),
        ("origins", "https://u@a.example", '"https://u@a.example" has a host or a port that no origin has'),
        ("origins", "https://", '"https://" has a host or a port that no origin has'),
        (
            "origins",
            "http://a.example",
            '"http://a.example" is http, so its scripts can be changed on their way; only loopback may be http',
        ),
        ("login", "hunter2", "is not a user, a colon and a password"),
        ("login", "a:b,:hunter2", "is not a user, a colon and a password"),
    ],
)
def test_what_cannot_be_used_is_one_line(monkeypatch: pytest.MonkeyPatch, name: str, text: str, line: str) -> None:
    found = refused(monkeypatch, name, text)
    assert found.startswith(f"WEBHOOKD_{name.upper()}: {line}: write ")
    assert "\n" not in found
    assert "hunter2" not in found


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        ("size_bytes", "x", "a whole number of bytes from 1 to 20"),
        ("wait_s", "x", "a number of seconds above 0 below 5"),
        ("choice", "x", "`red` or `blue`"),
        ("words", "[", "a list, separated by commas or as JSON"),
        ("networks", "x", "a list, separated by commas or as JSON, each a network like `10.0.0.0/8` or an address"),
    ],
)
def test_line_ends_with_the_form_to_write(monkeypatch: pytest.MonkeyPatch, name: str, text: str, form: str) -> None:
    assert refused(monkeypatch, name, text).endswith(f": write {form}")


def test_long_value_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(refused(monkeypatch, "size_bytes", "9" * 10_000)) < 200
