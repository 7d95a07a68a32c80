"""The traces of a process: a tracer whose ended spans are sent to a collector, on a thread of their own.

The API of OpenTelemetry is always installed; its SDK and its exporter are an extra, which is imported only when a
collector is set.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Protocol

from opentelemetry.trace import Tracer

from webhookd.configuration.environment import variable
from webhookd.errors import UnusableSetting
from webhookd.settings import Settings

STOP_S = 2.0
"""How long a stop waits for the last spans. It is a part of the time that a process has after its stop budget."""

_EXPORT = "webhookd.edges.trace_export"
_PARTS = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter")


class Tracing(Protocol):
    """The tracer of a process, and how it ends."""

    @property
    def tracer(self) -> Tracer:
        """The tracer. Every span that it starts is recorded, and sent when it has ended."""

    def stop(self, budget_s: float) -> None:
        """Send what has ended, for at most `budget_s`; the rest is lost. Blocks. Later calls do nothing."""


def check_tracing(settings: Settings) -> None:
    """Raise UnusableSetting if traces are to be sent, and the extra is not installed; it is not imported."""
    if settings.traces_headers.get_secret_value() and not settings.traces_endpoint:
        needed = variable("traces_endpoint")
        raise UnusableSetting(f"needs {needed}, the collector that gets the headers", setting="traces_headers")
    if settings.traces_endpoint and not all(map(_installed, _PARTS)):
        raise UnusableSetting(
            "needs OpenTelemetry's SDK and exporter, which are not installed: pip install 'webhookd[otel]'",
            setting="traces_endpoint",
        )


def build_tracing(settings: Settings) -> Tracing | None:
    """Start the traces of this process; None if no collector is set. Connects to nothing. Raises UnusableSetting."""
    check_tracing(settings)
    if not settings.traces_endpoint:
        return None
    started: Tracing = import_module(_EXPORT).start(settings)
    return started


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package is not installed
        return False
