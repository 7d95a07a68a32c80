"""The settings of traces: what is refused, and a process without OpenTelemetry's SDK."""

import os
import subprocess
import sys
from typing import Any

import pytest

from tests.unit.test_unusable_settings import invoke
from webhookd.configuration.trace_collector_types import header_map
from webhookd.edges.tracing import build_tracing
from webhookd.errors import UnusableSettings
from webhookd.settings import Settings
from webhookd.settings_loader import load_settings

FORM = "write a URL like `http://127.0.0.1:4318`, or nothing for no traces"

WITHOUT = """
import sys
for name in ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter"):
    sys.modules[name] = None  # as if it were not installed
from command.main import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("127.0.0.1:4318", '"127.0.0.1:4318" is not an http or https URL with a host'),
        ("grpc://127.0.0.1:4317", '"grpc://127.0.0.1:4317" is not an http or https URL with a host'),
        ("http://", '"http://" is not an http or https URL with a host'),
        ("http://h:0", '"http://h:0" is not an http or https URL with a host'),
        ("http://h:port", '"http://h:port" is not a URL'),
        ("http://h/v1?key=x", '"http://h/v1?key=x" has more than a scheme, a host, a port and a path'),
        ("http://h/ä", '"http://h/ä" has more than a scheme, a host, a port and a path'),
    ],
)
def test_unusable_endpoint_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UnusableSettings) as refused:
        load_settings(traces_endpoint=text)
    assert str(refused.value) == f"WEBHOOKD_TRACES_ENDPOINT: {reason}: {FORM}"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("https://collector.example/", "https://collector.example/v1/traces"),
        ("https://collector.example/tenant/traces", "https://collector.example/tenant/traces"),
        ("", ""),
    ],
)
def test_url_without_a_path_gets_that_of_otlp(text: str, url: str) -> None:
    assert Settings(traces_endpoint=text).traces_endpoint == url


@pytest.mark.parametrize("name", ["traces_sample_ratio", "traces_sampler"])
@pytest.mark.parametrize("text", ["-0.1", "1.1", "nan", "all"])
def test_unusable_sampling_is_refused(name: str, text: str) -> None:
    values: dict[str, Any] = {name: text}
    with pytest.raises(UnusableSettings) as refused:
        load_settings(**values)
    assert [problem.setting for problem in refused.value.problems] == [name]


def test_headers_are_read_from_a_text() -> None:
    assert header_map("X-Key = a=b , authorization=Bearer x") == {"x-key": "a=b", "authorization": "Bearer x"}


@pytest.mark.parametrize("text", ["hunter2", "a b=hunter2", "key=", "key=hunter2\r\nX: y", "a=1,key=hunterü"])
def test_unusable_header_is_refused_without_its_value(text: str) -> None:
    with pytest.raises(UnusableSettings) as refused:
        load_settings(traces_headers=text)
    line = str(refused.value)
    assert line.startswith("WEBHOOKD_TRACES_HEADERS: has a part, the one at place ")
    assert "hunter" not in line


def test_headers_without_a_collector_are_refused() -> None:
    result = invoke("worker", {"WEBHOOKD_TRACES_HEADERS": "x-key=hunter2"})
    assert (result.stderr, result.exit_code) == (
        "WEBHOOKD_TRACES_HEADERS: needs WEBHOOKD_TRACES_ENDPOINT, the collector that gets the headers\n",
        2,
    )


def test_headers_and_passwords_are_masked() -> None:
    shown = Settings.model_validate({"traces_endpoint": "http://h", "traces_headers": "x-key=hunter2"}).changed()
    assert shown == {"traces_endpoint": "http://h/v1/traces", "traces_headers": "****"}


def test_there_are_no_traces_unless_a_collector_is_set() -> None:
    assert build_tracing(Settings()) is None


def run_without_sdk(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process in which OpenTelemetry's SDK cannot be imported."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *command.split()],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("command", ["ingest", "worker", "settings --check"])
def test_collector_without_the_extra_is_refused_at_the_start(command: str) -> None:
    ended = run_without_sdk(command, WEBHOOKD_TRACES_ENDPOINT="http://127.0.0.1:4318")
    assert (ended.returncode, ended.stderr) == (
        2,
        "WEBHOOKD_TRACES_ENDPOINT: needs OpenTelemetry's SDK and exporter, which are not installed: "
        "pip install 'webhookd[otel]'\n",
    )


def test_without_a_collector_the_extra_is_not_needed() -> None:
    ended = run_without_sdk("settings --check")
    assert ended.returncode == 0, ended.stderr


def test_no_process_imports_the_exporter_unless_a_collector_is_set() -> None:
    """redis-py imports the SDK by itself where it is installed, so that is not looked at."""
    shown = "print(*(name for name in sys.modules if name.startswith(('opentelemetry.exporter', 'google.protobuf'))))"
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys, command.embedded, command.ingest, command.worker; {shown}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ended.stdout.split() == []
