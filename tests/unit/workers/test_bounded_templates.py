"""Which request templates stay in memory: bounded in number and in bytes, the oldest are dropped."""

from dataclasses import replace

from tests.harness.delivery_senders import template
from webhookd.flow.attempt.secret_mask import SecretMask
from webhookd.flow.destination import Destination, Tls
from workers.delivery.bounded_templates import BoundedTemplates
from workers.delivery.request_templates import TEMPLATE_BYTES, size_bytes

SMALL = template()


def filled(kept: BoundedTemplates, count: int) -> list[str]:
    for number in range(count):
        kept.put(f"s{number}", SMALL)
    return list(kept)


def test_oldest_half_is_dropped_when_there_are_too_many() -> None:
    assert filled(BoundedTemplates(most=4), 5) == ["s2", "s3", "s4"]


def test_oldest_half_is_dropped_when_they_are_too_large() -> None:
    assert filled(BoundedTemplates(most_bytes=4 * size_bytes(SMALL)), 5) == ["s2", "s3", "s4"]


def test_template_that_is_too_large_by_itself_is_kept_alone() -> None:
    kept = BoundedTemplates(most_bytes=1)
    assert filled(kept, 3) == ["s2"]
    assert kept.get("s2") is SMALL


def test_room_of_dropped_and_replaced_templates_is_free_again() -> None:
    kept = BoundedTemplates(most_bytes=2 * size_bytes(SMALL))
    for _ in range(10):
        kept.put("s0", SMALL)
        kept.put("s1", SMALL)
        kept.drop("s1")
    kept.drop("nothing")
    assert (filled(kept, 2), kept.get("s0")) == (["s0", "s1"], SMALL)


def test_certificates_and_secrets_count() -> None:
    tls = Tls(ca_certificates="a" * 10_000, client_certificate="b" * 1000, client_key="c" * 2000)
    masked = SecretMask(Destination(url="https://example.com", tls=tls))
    large = replace(SMALL, tls=tls, mask=masked)
    assert size_bytes(SMALL) < 2 * TEMPLATE_BYTES
    assert size_bytes(large) >= TEMPLATE_BYTES + 13_000 + 2000
