"""A scenario: a TOML file that says what is published, who subscribes, how the endpoint behaves, and what happens."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from jmespath.exceptions import JMESPathError
from msgspec import Meta, structs

from webhookd.kafka_properties import MASK
from webhookd_load_test.cluster.timeline import Step
from webhookd_load_test.compare.filter_oracle import Filter
from webhookd_load_test.receiver.faults import Fault
from webhookd_load_test.records.generate import LARGEST_PAYLOAD_BYTES, SMALLEST_PAYLOAD_BYTES
from webhookd_load_test.run_folder.bounds import Bounds

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"
"""The scenarios of this checkout; each is named for its file."""

SECRET = re.compile(r"^stack\.settings\..*(KEY|PASSWORD|SECRET|TOKEN|URL)")
"""Settings whose values may be secret: the report is for everybody."""

Count = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(pattern="^[a-z0-9-]{1,60}$")]
"""Names of scenarios are in those of topics, names of groups in paths."""

NUMBER = "{n}"
"""What a filter has in place of the number of its subscription."""


class UnusableScenarioError(Exception):
    """A scenario that cannot be run: the message names the file, the field and the reason."""


class Load(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is published: `rows` records over `duration_s`, as `csv-generate` makes them.

    `skew` is the exponent of a Zipf distribution of the keys; 0 makes all equally frequent.
    """

    rows: Count
    duration_s: Annotated[float, Meta(ge=0.001)]
    topics: Count = 1
    partitions: Count = 4
    payload_bytes: Annotated[int, Meta(ge=SMALLEST_PAYLOAD_BYTES, le=LARGEST_PAYLOAD_BYTES)] = 300
    keys: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    skew: Annotated[float, Meta(ge=0, le=10)] = 0.0
    seed: Annotated[int, Meta(ge=0)] = 1


class Subscriptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`count` equal subscriptions to all topics. `retry` is the API's `configuration.retry`, as it is there.

    In `filters`, `{n}` is the number of the subscription, from 0.
    """

    name: Name
    count: Count = 1
    filters: list[str] = []
    batch: Count = 1
    batch_interval_s: Annotated[int, Meta(ge=1)] = 1
    signed: bool = True
    retry: dict[str, str | int | float | bool] = {}
    faults: list[Fault] = []
    """How the endpoint of these subscriptions fails; without `path`, which is that of the subscription."""

    def __post_init__(self) -> None:
        """Raise ValueError for a filter that is not an expression, or a fault with a path."""
        for text in self.filters:
            _refuse_unusable(text)
        if any(fault.path for fault in self.faults):
            raise ValueError("`path` of a fault is that of the subscription: leave it out")


class Stack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many processes there are when the load begins. `receivers` are processes too."""

    brokers: Count = 1
    ingest: Count = 1
    workers: Count = 1
    receivers: Count = 1
    settings: dict[str, str] = {}
    """Environment variables of webhookd's processes."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole scenario; `name` is that of its file."""

    summary: str
    load: Load
    subscriptions: Annotated[list[Subscriptions], Meta(min_length=1)]
    stack: Stack = Stack()
    timeline: list[Step] = []
    bounds: Bounds = Bounds()
    name: Name

    def __post_init__(self) -> None:
        """Raise ValueError when two groups have one name: their paths would be the same."""
        names = [group.name for group in self.subscriptions]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"`subscriptions`: two groups have the name {twice!r}")
        if late := next((step for step in self.timeline if step.at_s >= self.load.duration_s), None):
            raise ValueError(f"`timeline`: {late.do} at {late.at_s:g} s is after the load ({self.load.duration_s:g} s)")


def read(file: Path) -> Scenario:
    """Read a scenario. Raises UnusableScenarioError."""
    try:
        known = tomllib.loads(file.read_text(encoding="utf-8"))
        return msgspec.convert({**known, "name": file.stem}, type=Scenario)
    except OSError as error:
        raise UnusableScenarioError(f"{file}: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UnusableScenarioError(f"{file}: {error}") from None


def _refuse_unusable(expression: str) -> None:
    try:
        Filter(expression.replace(NUMBER, "0"))
    except JMESPathError as error:
        raise ValueError(f"`filters`: {expression!r}: {str(error).splitlines()[0]}") from None


def find(name_or_file: str) -> Path:
    """The file of a scenario, by its name or its path. Raises UnusableScenarioError, which lists the names."""
    if (named := SCENARIOS / f"{name_or_file}.toml").exists():
        return named
    if (file := Path(name_or_file)).exists():
        return file
    names = ", ".join(sorted(one.stem for one in SCENARIOS.glob("*.toml")))
    raise UnusableScenarioError(f"no scenario {name_or_file!r}; there are: {names}")


def as_text(scenario: Scenario) -> dict[str, str]:
    """All settings of a scenario by their dotted names, for people; those of lists with their position."""
    texts = dict(_flat("", msgspec.to_builtins(scenario)))
    return {name: MASK if SECRET.search(name) else text for name, text in texts.items()}


def _flat(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from _flat(f"{name}[{number}]", inner)
    else:
        yield name, "none" if value is None or value in ([], {}, "") else str(value)


def lasting(scenario: Scenario, duration_s: float) -> Scenario:
    """The scenario at the same rate for another time. Raises UnusableScenarioError for a step after that time."""
    rows = max(1, round(scenario.load.rows * duration_s / scenario.load.duration_s))
    load = structs.replace(scenario.load, rows=rows, duration_s=duration_s)
    try:
        return structs.replace(scenario, load=load)
    except ValueError as error:
        raise UnusableScenarioError(f"{scenario.name}: {error}") from None
