"""Each command refuses Kafka properties that cannot be used: one line, exit code 2, no value of a secret."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from command.main import main

RUN = ("run", "--bootstrap-servers", "127.0.0.1:1", "--topic", "orders", "--url", "https://192.0.2.1/")
COMMANDS = {
    "settings": ("settings",),
    "migrate": ("migrate",),
    "api": ("api",),
    "ingest": ("ingest",),
    "worker": ("worker",),
    "flower": ("flower",),
    "cluster": ("cluster",),
    "topic create": ("topic", "create", "orders"),
    "topic produce": ("topic", "produce", "orders"),
}
WRONG = {
    "WEBHOOKD_KAFKA_CONFIG": "security.protocol=SSL,tellnobody",
    "WEBHOOKD_KAFKA_CONFIG_FILE": "/no/such.properties",
}


def invoked(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, env=environment)


@pytest.mark.parametrize("variable", WRONG)
@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_setting_ends_each_command_with_one_line(command: str, variable: str) -> None:
    found = invoked(*COMMANDS[command], **{variable: WRONG[variable]})
    assert (found.exit_code, len(found.output.splitlines())) == (2, 1)
    assert f"{variable}: " in found.output
    assert "tellnobody" not in found.output


@pytest.mark.parametrize("command", [("topic", "create", "orders"), RUN])
@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--kafka-config", "tellnobody", "entry 1 has no `=`"),
        ("--kafka-config", "group.id=tellnobody", "group.id cannot be set here"),
    ],
)
def test_wrong_option_is_named(command: tuple[str, ...], option: str, value: str, message: str) -> None:
    found = invoked(*command, option, value)
    assert found.exit_code == 2
    assert "--kafka-config" in found.output.splitlines()[-1]
    assert message in found.output.splitlines()[-1]
    assert "tellnobody" not in found.output


def test_option_replaces_the_file_and_adds_to_the_setting(tmp_path: Path) -> None:
    path = tmp_path / "kafka.properties"
    path.write_text("security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.username=tell\n")
    found = invoked(
        *("topic", "create", "orders", "--kafka-config-file", str(path), "--kafka-config", "sasl.username=other"),
        WEBHOOKD_KAFKA_CONFIG="client.id=a",
        WEBHOOKD_KAFKA_CONFIG_FILE="/no/such.properties",
    )
    assert "--kafka-config: sasl.username and sasl.password must be set" in " ".join(found.output.split())


@pytest.mark.parametrize("command", [("topic", "create", "orders"), RUN])
@pytest.mark.parametrize(
    ("source", "in_file", "in_option", "in_setting"),
    [
        ("--kafka-config", "client.id=a", "sesion.timeout.ms=1", "client.id=b"),
        ("--kafka-config-file", "sesion.timeout.ms=1", "client.id=a", "client.id=b"),
        ("WEBHOOKD_KAFKA_CONFIG", "client.id=a", "client.rack=a", "sesion.timeout.ms=1"),
    ],
)
def test_source_of_a_wrong_property_is_named(
    command: tuple[str, ...], source: str, in_file: str, in_option: str, in_setting: str, tmp_path: Path
) -> None:
    path = tmp_path / "kafka.properties"
    path.write_text(in_file)
    options = ("--kafka-config-file", str(path), "--kafka-config", in_option)
    found = invoked(*command, *options, WEBHOOKD_KAFKA_CONFIG=in_setting)
    answer = 'No such configuration property: "sesion.timeout.ms"; did you mean session.timeout.ms?'
    assert (found.exit_code, found.output.splitlines()) == (2, [f"{source}: {answer}"])


def test_settings_show_names_and_no_secrets() -> None:
    text = "security.protocol=SASL_PLAINTEXT,sasl.mechanism=PLAIN,sasl.username=orders,sasl.password=tellnobody"
    output = invoked("settings", WEBHOOKD_KAFKA_CONFIG=text).output
    shown = f"WEBHOOKD_KAFKA_CONFIG={text.replace('tellnobody', '****')}"
    assert f"{shown}  # default: (not set)" in output.splitlines()
