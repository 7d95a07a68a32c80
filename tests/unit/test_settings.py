"""What people and logs get to see of the settings."""

import pytest

from webhookd.edges import redis_url
from webhookd.settings import Settings


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:s3cret@host:6379/0", "redis://:****@host:6379/0"),
        ("redis://user:s3cret@host:6379/0", "redis://user:****@host:6379/0"),
        ("redis://host:6379/0?password=s3cret", "redis://host:6379/0?password=****"),
        ("redis://host:6379/0?db=1&password=s3cret&ssl=1", "redis://host:6379/0?db=1&password=****&ssl=1"),
        ("redis://user:s3cret@host/0?Password=s3cret", "redis://user:****@host/0?Password=****"),
        ("redis://host/0?sslpassword=s3cret", "redis://host/0?sslpassword=****"),
        ("redis://:s3@c/r#et@host/0", "redis://:****@host/0"),
        ("sentinel://a,b/0?sentinel_password=s3cret&master=m", "sentinel://a,b/0?sentinel_password=****&master=m"),
        ("redis://host:6379/0", "redis://host:6379/0"),
    ],
)
def test_passwords_in_urls_are_masked(url: str, shown: str) -> None:
    assert Settings.model_validate({"redis_url": url}).shown()["redis_url"] == shown


def test_only_what_differs_from_the_default_is_changed() -> None:
    settings = Settings.model_validate(
        {"redis_url": "redis://:s3cret@host:6379/0", "lease_s": 5.0, "egress_proxy": "http://u:s3cret@proxy:1"}
    )
    assert settings.changed() == {"redis_url": "redis://:****@host:6379/0", "egress_proxy": "****"}


@pytest.mark.parametrize("url", ["memory://", "MEMORY://", " memory://"])
def test_memory_is_embedded_as_the_parsed_url_is(url: str) -> None:
    assert Settings.model_validate({"redis_url": url}).embedded
    assert redis_url.parse(url).embedded
