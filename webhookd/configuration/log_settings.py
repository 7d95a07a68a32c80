"""Settings of the log: its format, its levels, and which deliveries it has."""

from typing import Literal

from pydantic import Field

from webhookd.configuration.module_levels import ModuleLevels
from webhookd.configuration.subject import Subject

LogFormat = Literal["auto", "json", "text"]
LogLevel = Literal["debug", "info", "warning", "error"]


class LogSettings(Subject):
    """Log."""

    log_format: LogFormat = Field(
        default="auto",
        description="`json` writes one JSON object a line, `text` lines for people. `auto`: `text` when stderr is a "
        "terminal, else `json`.",
    )
    log_level: LogLevel = Field(
        default="info",
        description="The lowest level that is logged. `debug` also logs each attempt.",
    )
    log_levels: ModuleLevels = Field(
        default=(),
        description="Other levels for single modules and what is below them, as `module=level`; of several the longest "
        "name counts. A module is one of webhookd (the field `module` of a line) or a library (the field `logger`): "
        "`workers.delivery=debug,librdkafka=error`.",
    )
    log_debug_s: float = Field(
        default=900.0,
        ge=1,
        le=86_400,
        description="How long SIGUSR2 switches the level of a process to `debug`. The page `how-to/read-the-log.md` "
        "says how.",
    )
    log_delivered_ratio: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Which share of the deliveries that succeeded is logged. Failed attempts are always logged.",
    )
