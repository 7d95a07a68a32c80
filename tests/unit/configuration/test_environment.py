"""Which environment variables are settings, and which are mistakes."""

import pytest

from webhookd.configuration.environment import unknown_names


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("WEBHOOKD_REDIS_ULR", "WEBHOOKD_REDIS_ULR: there is no such setting; did you mean WEBHOOKD_REDIS_URL?"),
        ("WEBHOOKD_XYZ", "WEBHOOKD_XYZ: there is no such setting; `webhookd settings` lists all"),
        ("WEBHOOKD_", "WEBHOOKD_: there is no such setting; `webhookd settings` lists all"),
        ("webhookd_redis_url", "webhookd_redis_url: settings are in upper case: write WEBHOOKD_REDIS_URL"),
        ("WEBHOOKD_SMTP_PROT", "WEBHOOKD_SMTP_PROT: there is no such setting; did you mean WEBHOOKD_SMTP_PORT?"),
        ("WEBHOOKD_SMPT_PORT", "WEBHOOKD_SMPT_PORT: there is no such setting; did you mean WEBHOOKD_SMTP_PORT?"),
    ],
)
def test_unknown_name_is_refused_with_the_nearest(name: str, line: str) -> None:
    assert [str(problem) for problem in unknown_names({name: "25"}, ["redis_url", "smtp_port"])] == [line]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("WEBHOOKD_REDIS_URL", "x"),
        ("WEBHOOKD_TEST_KAFKA", "x"),
        ("_WEBHOOKD_COMPLETE", "bash_source"),
        ("webhookd_mine", "x"),
        # Kubernetes, for Services with the names webhookd and webhookd-api
        ("WEBHOOKD_SERVICE_HOST", "10.0.0.1"),
        ("WEBHOOKD_SERVICE_PORT", "80"),
        ("WEBHOOKD_SERVICE_PORT_HTTP", "80"),
        ("WEBHOOKD_PORT", "tcp://10.0.0.1:80"),
        ("WEBHOOKD_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("WEBHOOKD_PORT_80_TCP_PROTO", "tcp"),
        ("WEBHOOKD_API_SERVICE_HOST", "10.0.0.1"),
        ("WEBHOOKD_API_PORT", "tcp://10.0.0.1:80"),
        ("WEBHOOKD_API_PORT_8080_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_name_of_others_is_left_alone(name: str, text: str) -> None:
    assert list(unknown_names({name: text}, ["redis_url", "smtp_port"])) == []
