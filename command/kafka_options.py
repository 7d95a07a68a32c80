"""The options with which commands connect to Kafka, and the connection that they and the settings give."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from command.loading import load_settings
from webhookd.configuration.environment import variable
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.kafka_properties import KafkaProperties, from_entries
from webhookd.settings import Settings
from webhookd.settings_loader import Change

Command = TypeVar("Command", bound=Callable[..., Any])


def _properties(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> KafkaProperties:
    del context
    pairs = [text.partition("=") for text in texts]
    try:
        return from_entries(
            ((number, (name.strip(), value)) if separator else (number, None))
            for number, (name, separator, value) in enumerate(pairs, 1)
        )
    except ValueError as error:
        raise click.BadParameter(str(error), param=option) from None


def kafka_options(command: Command) -> Command:
    """Add the options `--kafka-config` and `--kafka-config-file`, for `kafka_change`."""
    command = click.option(
        "--kafka-config-file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="A file of such properties, one a line; for secrets. WEBHOOKD_KAFKA_CONFIG_FILE if not given.",
    )(command)
    return click.option(
        "--kafka-config",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_properties,
        help="A librdkafka property, such as security.protocol=SASL_SSL; repeat it for more. Added to those of "
        "WEBHOOKD_KAFKA_CONFIG. Other users can read it: use a file for secrets.",
    )(command)


def kafka_change(kafka_config: KafkaProperties, kafka_config_file: Path | None) -> Change:
    """Return what these options change in the settings."""

    def change(settings: Settings) -> Settings:
        changes = {
            "kafka_config": settings.kafka_config.merged(kafka_config),
            "kafka_config_file": kafka_config_file or settings.kafka_config_file,
        }
        return settings.model_copy(update=changes)

    return change


def kafka_sources(kafka_config: KafkaProperties, kafka_config_file: Path | None) -> dict[str, str]:
    """Return what `load_settings` needs to name these options in errors about what they set."""
    sources = {f"kafka_config.{name}": "--kafka-config" for name in kafka_config}
    if kafka_config and variable("kafka_config") not in os.environ:
        sources["kafka_config"] = "--kafka-config"
    if kafka_config_file is not None:
        sources["kafka_config_file"] = "--kafka-config-file"
    return sources


def connection_of(
    bootstrap_servers: str | None, kafka_config: KafkaProperties, kafka_config_file: Path | None
) -> KafkaConnection:
    """Return the connection that options and settings give. Raises UnusableSettings."""
    given = {} if bootstrap_servers is None else {"kafka_bootstrap_servers": bootstrap_servers}
    settings = load_settings(
        dict.fromkeys(given, "--bootstrap-servers") | kafka_sources(kafka_config, kafka_config_file),
        kafka_change(kafka_config, kafka_config_file),
        **given,
    )
    return KafkaConnection.of(settings)
