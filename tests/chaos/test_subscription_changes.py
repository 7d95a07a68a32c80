"""Changes over the API under load: deactivated and activated, another URL, deleted, webhookd offline."""

import pytest

from tests.chaos.environment import DEADLINE_S, LEASE_S, SESSION_S, Site
from tests.chaos.findings import SLACK_S, Cost, Watched
from tests.chaos.report import Report
from tests.chaos.scenario import Scenario
from tests.harness.checking_receiver import Behaviour

TAKES_EFFECT_S = 5.0
"""A change is notified, and found within a second if the notification is lost; a request in progress may end."""

CHANGES = Cost(
    recovery_s=SESSION_S + LEASE_S + DEADLINE_S,
    why="leaving and joining the group + lease + request deadline",
    later_resends=1,
)
OFF_S = 5.0

pytestmark = pytest.mark.chaos


def is_silent(scenario: Scenario, watched: Watched) -> bool:
    """Whether nothing arrives at its first receiver for a while, after the change has had time to take effect."""
    scenario.site.run_for(TAKES_EFFECT_S)
    before = watched.receivers[0].count
    scenario.site.run_for(OFF_S)
    return watched.receivers[0].count == before


def test_changes_under_load_lose_nothing_and_concern_nobody_else(site: Site, report: Report) -> None:
    site.ensure_running()
    with Scenario("owner", site, report) as scenario:
        scenario.rows_by_label = True
        beside = scenario.subscribe("subscription beside them")
        switched = scenario.subscribe("active no, then yes")
        moved = scenario.subscribe("URL changed")
        filtered = scenario.subscribe("filter changed to the same")
        deleted = scenario.subscribe("deleted")
        beside.windows, beside.stall_bound_s = [], DEADLINE_S
        scenario.load()
        with scenario.fault_window(CHANGES):
            scenario.change(switched, active="no")
            assert is_silent(scenario, switched), "it was deactivated"
            scenario.change(switched, active="yes")
        with scenario.fault_window(CHANGES):
            moved.receivers = [*moved.receivers, scenario.receiver()]
            scenario.change(moved, url=moved.receivers[1].url)
            scenario.change(filtered, filters=["n >= `0`"])
            assert is_silent(scenario, moved), "it has another URL"
        scenario.delete(deleted)
        assert is_silent(scenario, deleted), "it was deleted"


def test_nothing_is_sent_while_offline_and_all_of_it_afterwards(site: Site, report: Report) -> None:
    site.ensure_running()
    with Scenario("offline, then online", site, report) as scenario:
        scenario.subscribe_three()
        hanging = scenario.subscribe("its requests are aborted")
        scenario.load()
        with scenario.fault_window(CHANGES):
            hanging.receivers[0].behave(Behaviour.HANG)
            switch(site, "offline")
            site.run_for(TAKES_EFFECT_S)
            before = [watched.receivers[0].count for watched in scenario.watched]
            site.run_for(OFF_S)
            assert [watched.receivers[0].count for watched in scenario.watched] == before, "webhookd is offline"
            shown = {site.pipeline.status(watched.id)["status"] for watched in scenario.watched}
            assert shown == {"inactive"}
            hanging.receivers[0].behave(Behaviour.ANSWER)
            switch(site, "online")


def switch(site: Site, status: str) -> None:
    site.pipeline.ask("POST", "/1/EventNotificationAdmin", {"status": status, "offline_message": "as the test says"})


def test_deleted_subscription_leaves_no_group(site: Site, report: Report) -> None:
    site.ensure_running()
    with Scenario("group of a deleted subscription", site, report) as scenario:
        deleted = scenario.subscribe("deleted")
        scenario.load()
        scenario.delete(deleted)
        assert site.wait_until(lambda: f"webhooks-{deleted.id}" not in groups(site), SESSION_S + SLACK_S)


def groups(site: Site) -> set[str]:
    found = site.pipeline.admin.list_consumer_groups().result(SLACK_S).valid
    return {group.group_id for group in found}
