"""What is refused gets its default, so that everything else that is wrong is found as well."""

from typing import Annotated

import pytest
from pydantic import Field, PlainValidator

from webhookd.configuration.refusals import read_without_refused
from webhookd.configuration.subject import Subject
from webhookd.errors import UnusableSetting, UnusableSettings


def _refuse_hunter2(value: object) -> object:
    if value == "hunter2":
        raise UnusableSetting("contains no name", setting="secret")
    return value


class Example(Subject):
    """Two numbers, and a setting whose validator raises the error itself."""

    first: int = Field(default=1, ge=1)
    second: int = Field(default=2, ge=1)
    secret: Annotated[object, PlainValidator(_refuse_hunter2)] = ""


def test_what_is_not_refused_keeps_its_value() -> None:
    found, refused = read_without_refused(Example, {"first": "x", "second": "5"})
    assert (found.first, found.second) == (1, 5)
    assert [problem.setting for problem in refused] == ["first"]


def test_error_of_a_validator_is_found_beside_those_of_pydantic() -> None:
    found, refused = read_without_refused(Example, {"first": "x", "second": "y", "secret": "hunter2"})
    assert found == Example()
    assert sorted(map(str, refused)) == [
        'WEBHOOKD_FIRST: "x" is not a whole number: write a whole number from 1',
        'WEBHOOKD_SECOND: "y" is not a whole number: write a whole number from 1',
        "WEBHOOKD_SECRET: contains no name",
    ]


def test_default_that_is_refused_ends_the_search() -> None:
    class Refused(Subject):
        first: int = Field(default=0, ge=1)

    with pytest.raises(UnusableSettings, match='WEBHOOKD_FIRST: "0" is less than 1'):
        read_without_refused(Refused, {"first": "x"})
