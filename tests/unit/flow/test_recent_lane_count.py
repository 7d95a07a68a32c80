"""How many lanes count as active, which decides how long a task waits for further deliveries."""

from webhookd.flow.dispatch.recent_lane_count import MAX_PER_SUBSCRIPTION, RecentLaneCount


def test_each_lane_counts_once() -> None:
    lanes = RecentLaneCount()
    lanes.update([("a", "a/0"), ("a", "a/1"), ("a", "a/0")])
    assert lanes.count == 2


def test_subscription_with_many_partitions_counts_up_to_a_bound() -> None:
    lanes = RecentLaneCount()
    lanes.update(("large", f"large/{number}") for number in range(1000))
    assert lanes.count == MAX_PER_SUBSCRIPTION


def test_many_subscriptions_count_each() -> None:
    lanes = RecentLaneCount()
    lanes.update((f"s{number}", f"s{number}/0") for number in range(200))
    assert lanes.count == 200


def test_lanes_count_in_their_second_and_the_next() -> None:
    lanes = RecentLaneCount()
    lanes.update([("a", "a/0")])
    counts = [lanes.count]
    for _ in range(2):
        lanes.next_second()
        counts.append(lanes.count)
    assert counts == [1, 1, 0]
