"""A pool of threads: who may use one more, and that its sums are exact."""

from webhookd.flow.dispatch.fair_pool import FairPool


def test_pool_gives_one_subscription_all_and_each_of_two_half() -> None:
    pool = FairPool()
    pool.size = 10.0
    pool.set_in_use("a", 9.0)
    assert pool.allows("a")
    pool.set_in_use("a", 10.0)
    pool.set_wants_more("a", more=True)
    pool.set_wants_more("b", more=True)
    pool.set_in_use("b", 3.0)
    pool.set_in_use("a", 6.0)
    assert (pool.allows("a"), pool.allows("b")) == (False, True)


def test_pool_with_a_spare_keeps_a_thread_for_a_newcomer() -> None:
    pool = FairPool(0.5)
    pool.size = 12.0
    used = 0.0
    while pool.allows("a"):
        used += 1.0
        pool.set_in_use("a", used)
    assert (used, pool.allows("b")) == (8.0, True)


def test_pool_with_a_spare_is_never_exceeded() -> None:
    without, spare = FairPool(), FairPool(0.5)
    for pool in (without, spare):
        pool.size = 4.0
        pool.set_in_use("a", 4.0)
    assert (without.allows("b"), spare.allows("b")) == (True, False)


def test_recounted_pool_is_the_sum_of_its_subscriptions() -> None:
    pool = FairPool()
    for third in range(1, 1000):
        pool.set_in_use("a", third / 3)
        pool.set_in_use("b", third / 7)
    pool.set_in_use("a", 0.0)
    pool.set_in_use("b", 0.0)
    pool.recount()
    assert pool.total == 0.0
