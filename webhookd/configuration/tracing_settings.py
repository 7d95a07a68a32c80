"""The settings of traces; webhookd/settings.py has the others and says how they are read."""

from typing import Literal

from pydantic import Field, SecretStr

from webhookd.configuration.subject import Subject
from webhookd.configuration.trace_collector_types import CollectorUrl, HeaderMap

TracesSampler = Literal["parentbased_traceidratio", "traceidratio"]


class TracingSettings(Subject):
    """Traces."""

    traces_endpoint: CollectorUrl = Field(
        default="",
        description="Where ingest and the workers send traces: the OTLP/HTTP URL of a collector, such as "
        "`http://127.0.0.1:4318`. A URL without a path gets `/v1/traces`. Empty: no traces. It needs the extra "
        "`webhookd[otel]`. The page `how-to/trace-deliveries.md` says what a trace has.",
    )
    traces_headers: HeaderMap = Field(
        default=SecretStr(""),
        description="Headers of the requests to the collector, such as a key: `name=value,name=value`.",
    )
    traces_sample_ratio: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="The share of the deliveries that are traced. Ingest decides; workers trace what it traces.",
    )
    traces_sampler: TracesSampler = Field(
        default="parentbased_traceidratio",
        description="`parentbased_traceidratio`: if the first record of a delivery has a `traceparent`, its sampled "
        "flag decides; otherwise the ratio does. `traceidratio`: the ratio alone decides.",
    )
