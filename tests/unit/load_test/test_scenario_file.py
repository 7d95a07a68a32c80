"""Scenario files: what is shipped can be read, and what cannot be used is refused by file, field and reason.

Oracle: the documents themselves.
"""

from pathlib import Path

import pytest

from webhookd_load_test.scenario import planned_subscription
from webhookd_load_test.scenario.scenario_file import (
    SCENARIOS,
    Scenario,
    UnusableScenarioError,
    as_text,
    find,
    lasting,
    read,
)

SHIPPED = sorted(SCENARIOS.glob("*.toml"))
GOOD = """
summary = "one"
[load]
rows = 10
duration_s = 5
[[subscriptions]]
name = "a"
"""


def scenario(tmp_path: Path, text: str) -> Scenario:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return read(file)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_scenario_can_be_read(file: Path) -> None:
    assert read(file).name == file.stem


def test_scenario_of_the_how_to_page_can_be_read(tmp_path: Path) -> None:
    page = (SCENARIOS.parents[1] / "docs" / "how-to" / "load-test.md").read_text(encoding="utf-8")
    read_one = scenario(tmp_path, page.partition("```toml\n")[2].partition("```")[0])
    assert (read_one.load.topics, len(read_one.timeline), read_one.bounds.stall_s) == (3, 1, 15)


def test_name_or_path_finds_the_file(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(GOOD, encoding="utf-8")
    assert find("seed") == SCENARIOS / "seed.toml"
    assert find(str(own)) == own


def test_unknown_name_lists_the_names() -> None:
    with pytest.raises(UnusableScenarioError, match=r"no scenario 'sed'; there are: big-batches, .*seed"):
        find("sed")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD + "colour = 1", r"unknown field `colour` - at `\$\.subscriptions\[0\]`"),
        (GOOD.replace("rows = 10", "rows = 0"), r"`int` >= 1 - at `\$\.load\.rows`"),
        (GOOD.replace("rows = 10\n", ""), r"missing required field `rows` - at `\$\.load`"),
        (GOOD + '[[timeline]]\nat_s = 1\ndo = "explode"', r"Invalid enum value 'explode' - at `\$\.timeline\[0\]\.do`"),
        ("summary = ", "Invalid value"),
        (GOOD + '[[subscriptions]]\nname = "a"', r"two groups have the name 'a'"),
        (GOOD + 'filters = ["a =="]', r"`filters`: 'a ==': .* - at `\$\.subscriptions\[0\]`"),
        (GOOD + 'faults = [{ kind = "error", path = "/b" }]', r"`path` of a fault is that of the subscription"),
        (GOOD.replace('"a"', '"a b/?"'), r"matching regex .* - at `\$\.subscriptions\[0\]\.name`"),
        (GOOD + "[bounds]\nduplicates = -1", r"`int` >= 0 - at `\$\.bounds\.duplicates`"),
    ],
)
def test_unusable_scenario_is_refused_with_field_and_reason(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(UnusableScenarioError, match=reason):
        scenario(tmp_path, text)


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xff")
    with pytest.raises(UnusableScenarioError, match="utf-8"):
        read(tmp_path / "mine.toml")


def test_other_duration_keeps_the_rate(tmp_path: Path) -> None:
    longer = lasting(scenario(tmp_path, GOOD), 60.0)
    assert (longer.load.rows, longer.load.duration_s) == (120, 60.0)


def test_timeline_has_to_end_before_the_load() -> None:
    with pytest.raises(UnusableScenarioError, match=r"seed: .*scale_workers at 20 s is after the load \(10 s\)"):
        lasting(read(find("seed")), 10.0)


def test_settings_are_shown_by_dotted_names(tmp_path: Path) -> None:
    shown = as_text(scenario(tmp_path, GOOD))
    assert (shown["load.rows"], shown["subscriptions[0].name"], shown["bounds.stall_s"]) == ("10", "a", "none")


def test_secret_settings_are_masked(tmp_path: Path) -> None:
    text = GOOD + '[stack]\nsettings = { WEBHOOKD_SMTP_PASSWORD = "p", WEBHOOKD_LEASE_S = "2" }'
    shown = as_text(scenario(tmp_path, text))
    assert (shown["stack.settings.WEBHOOKD_SMTP_PASSWORD"], shown["stack.settings.WEBHOOKD_LEASE_S"]) == ("****", "2")


def test_each_subscription_has_its_own_path_secret_and_number(tmp_path: Path) -> None:
    text = GOOD + "count = 3\nfilters = [\"tenant == '{n}'\"]\n" + '[[subscriptions]]\nname = "b"\nsigned = false\n'
    planned = planned_subscription.plan(scenario(tmp_path, text), ["t"])
    assert [one.path for one in planned] == ["/a/0", "/a/1", "/a/2", "/b/0"]
    assert [one.filters for one in planned] == [("tenant == '0'",), ("tenant == '1'",), ("tenant == '2'",), ()]
    assert len({one.secret for one in planned[:3]}) == 3
    assert planned[3].document("http://127.0.0.1:1/")["destination"]["webhook"] == {
        "url": "http://127.0.0.1:1/b/0",
        "signing": {"kind": "none"},
    }


def test_faults_concern_the_paths_of_their_own_group_only(tmp_path: Path) -> None:
    text = GOOD + 'faults = [{ kind = "error", share = 0.5 }]\n[[subscriptions]]\nname = "b"\n'
    assert [(fault.path, fault.share) for fault in planned_subscription.faults(scenario(tmp_path, text))] == [
        ("/a/", 0.5)
    ]
