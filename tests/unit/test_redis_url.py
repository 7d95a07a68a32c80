"""What `WEBHOOKD_REDIS_URL` may be, what the libraries get for it, and the one line about what cannot be used."""

import json
from pathlib import Path

import pytest
import trustme
from kombu.utils.json import dumps
from structlog.testing import capture_logs

from webhookd.edges.redis_address import Login
from webhookd.edges.redis_settings import address_of
from webhookd.edges.redis_url import parse
from webhookd.errors import UnusableSetting
from webhookd.settings import Settings
from workers.celery_app import build_celery

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "shown", "expected"),
    [
        ("redis://host", "redis://host:6379/0", {"host": "host", "port": 6379, "db": 0}),
        ("REDIS://host:1/2/", "redis://host:1/2", {"host": "host", "port": 1, "db": 2}),
        ("redis://host?db=3", "redis://host:6379/3", {"host": "host", "port": 6379, "db": 3}),
        ("redis://[::1]:7/0", "redis://[::1]:7/0", {"host": "::1", "port": 7, "db": 0}),
        ("unix:///run/redis.sock", "unix:///run/redis.sock?db=0", {"path": "/run/redis.sock", "db": 0}),
        ("unix:///a%20b.sock?db=1", "unix:///a%20b.sock?db=1", {"path": "/a b.sock", "db": 1}),
        ("redis+socket:///r.sock?virtual_host=2", "unix:///r.sock?db=2", {"path": "/r.sock", "db": 2}),
        ("sentinel://a,b:7/1?master=m", "sentinel://a:26379,b:7/1?master=m", {"db": 1}),
    ],
)
def test_url_becomes_the_parameters_of_a_connection(url: str, shown: str, expected: dict[str, object]) -> None:
    address = parse(url)
    assert (str(address), address.parameters()) == (shown, {**expected, "username": None, "password": None})


@pytest.mark.parametrize(
    ("url", "login"),
    [
        ("redis://:s3cret@host", Login(password=SECRET)),
        ("redis://user:s3cret@host", Login(user="user", password=SECRET)),
        ("redis://us%40er:s%20%2F%3Ae%25@host", Login(user="us@er", password="s /:e%")),
        ("redis://user:@host", Login(user="user")),
        ("redis://user:a:b@c@host", Login(user="user", password="a:b@c")),
        ("redis://host?username=user&password=s3%2Fcret", Login(user="user", password="s3/cret")),
        ("unix://user:s3cret@/r.sock", Login(user="user", password=SECRET)),
        ("unix:///r.sock?password=s3cret", Login(password=SECRET)),
        ("sentinel://user:s3cret@a,b?master=m", Login(user="user", password=SECRET)),
    ],
)
def test_login_is_decoded(url: str, login: Login) -> None:
    assert parse(url).login == login


def test_sentinels_have_a_login_of_their_own() -> None:
    address = parse("sentinel://a?master=m&sentinel_username=user&sentinel_password=s3%26cret")
    assert (address.login, address.sentinel_login) == (Login(), Login(user="user", password="s3&cret"))


@pytest.mark.parametrize("scheme", ["rediss://host", "sentinel://host?master=m&ssl=true"])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"ssl_cert_reqs": "required", "ssl_check_hostname": True}),
        ("ssl_cert_reqs=CERT_REQUIRED", {"ssl_cert_reqs": "required", "ssl_check_hostname": True}),
        ("ssl_cert_reqs=optional", {"ssl_cert_reqs": "required", "ssl_check_hostname": True}),
        ("ssl_cert_reqs=none", {"ssl_cert_reqs": "none", "ssl_check_hostname": False}),
        ("ssl_check_hostname=False", {"ssl_cert_reqs": "required", "ssl_check_hostname": False}),
        (
            "ssl_ca_certs=/ca&ssl_certfile=/cert&ssl_keyfile=/key",
            {
                "ssl_cert_reqs": "required",
                "ssl_check_hostname": True,
                "ssl_ca_certs": "/ca",
                "ssl_certfile": "/cert",
                "ssl_keyfile": "/key",
            },
        ),
    ],
)
def test_certificates_are_verified_unless_the_url_says_no(scheme: str, query: str, expected: dict[str, object]) -> None:
    address = parse(f"{scheme}{'&' if '?' in scheme else '?'}{query}")
    assert address.tls_parameters() == expected


UNUSABLE = {
    "must begin with": ["host:6379", "", "http://s3cret@host", "redis:s3cret", "redis+cluster://host"],
    "a port that is not a number": [
        "redis://host:s3cret/0",
        "redis://host:0",
        "redis://host:65536",
        "redis://:s3cret/x",
    ],
    "no host": ["redis://", "redis:///0", "redis://:s3cret@/0", "sentinel://a,,b?master=m", "sentinel://a,?master=m"],
    "several hosts": ["redis://a,b", "rediss://:s3cret@a:1,b:2/0"],
    "a database that is not a number": ["redis://host/s3cret", "redis://host/-1", "redis://host/1/2", "unix:///r?db=x"],
    "two different databases": ["redis://host/1?db=2", "unix:///r?db=1&virtual_host=2"],
    "unknown parameter foo": ["redis://host?foo=s3cret", "unix:///r?foo=1", "memory://?foo=1", "sentinel://a?foo=1"],
    "unknown parameter socket_timeout": ["redis://host?socket_timeout=5"],
    "unknown parameter ssl_cert_reqs": ["redis://host?ssl_cert_reqs=none"],
    "the parameter db twice": ["redis://host?db=1&db=1"],
    "%23 for #": ["redis://:s3#cret@host", "redis://:1/s3cret@host", "redis://:1?s3cret@host", "redis://host#s3cret"],
    "user without a password": ["redis://s3cret@host"],
    "a login before the host and another one": ["redis://:s3cret@host?password=s3cret"],
    "a host where a path must be": ["unix://run/redis.sock", "redis+socket://:s3cret@localhost/r.sock"],
    "no path of a socket": ["unix://", "unix:///", "redis+socket://:s3cret@"],
    "?master=mymaster": ["sentinel://a:1,b:2/0", "sentinel://:s3cret@a?master="],
    "ssl_ca_certs without ssl=true": ["sentinel://a?master=m&ssl_ca_certs=/ca"],
    "none of required, optional or none": ["rediss://host?ssl_cert_reqs=s3cret"],
    "neither true nor false": ["rediss://host?ssl_check_hostname=s3cret", "sentinel://a?master=m&ssl=s3cret"],
    "brackets": ["redis://[s3cret", "redis://[s3cret]/0"],
}
"""By a part of the line: URLs that cannot be used."""


@pytest.mark.parametrize(("part", "url"), [(part, url) for part, urls in UNUSABLE.items() for url in urls])
def test_unusable_url_is_one_line_without_the_password(part: str, url: str) -> None:
    with pytest.raises(UnusableSetting) as raised:
        parse(url)
    line = str(raised.value)
    assert (part in line, SECRET in line, "\n" in line) == (True, False, False)
    assert (raised.value.setting, line[:20]) == ("redis_url", "WEBHOOKD_REDIS_URL: ")


@pytest.mark.parametrize(
    "url", ["redis://user:s3cret@host", "unix:///r?password=s3cret", "sentinel://a?master=m&sentinel_password=s3cret"]
)
def test_what_people_see_has_no_password(url: str) -> None:
    address = parse(url)
    app = build_celery(Settings.model_validate({"redis_url": url}))
    with app.connection() as connection:
        shown = [connection.as_uri(include_password=True), dumps(connection.info()), repr(app.conf.table())]
    shown += [str(address), repr(address), *Settings.model_validate({"redis_url": url}).shown().values()]
    assert [text for text in shown if SECRET in text] == []
    assert json.dumps(str(address)) in shown[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, a client certificate with its key, and a text."""
    made = tmp_path_factory.mktemp("files")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(made / "ca.pem"))
    authority.issue_cert("client").private_key_and_cert_chain_pem.write_to_path(str(made / "client.pem"))
    (made / "text").write_text("text", encoding="utf-8")
    return made


def settings(folder: Path, url: str, **files: str) -> Settings:
    paths = {f"redis_{name}": folder / file for name, file in files.items()}
    return Settings.model_validate({"redis_url": url.replace("FOLDER", str(folder)), **paths})


def test_files_of_the_settings_are_used_unless_the_url_names_others(folder: Path) -> None:
    files = {"ca_file": "ca.pem", "client_cert_file": "client.pem", "client_key_file": "client.pem"}
    used = address_of(settings(folder, "rediss://host", **files)).tls_parameters()
    assert [used[name] for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")] == [
        str(folder / file) for file in files.values()
    ]
    used = address_of(settings(folder, "rediss://host?ssl_ca_certs=FOLDER/ca.pem", ca_file="text")).tls_parameters()
    assert used["ssl_ca_certs"] == str(folder / "ca.pem")


@pytest.mark.parametrize(
    ("url", "files", "setting", "part"),
    [
        ("rediss://host", {"ca_file": "none"}, "redis_ca_file", "none: No such file"),
        ("rediss://host", {"ca_file": "text"}, "redis_ca_file", "text: not a certificate"),
        ("rediss://host", {"client_cert_file": "none"}, "redis_client_cert_file", "none: No such file"),
        ("rediss://host", {"client_cert_file": "ca.pem"}, "redis_client_cert_file", "private key"),
        ("rediss://host", {"client_key_file": "client.pem"}, "redis_client_key_file", "CLIENT_CERT_FILE"),
        ("rediss://host?ssl_ca_certs=FOLDER/none", {}, "redis_url", "none: No such file"),
        ("rediss://host?ssl_certfile=FOLDER/text", {}, "redis_url", "text: not a certificate"),
        ("redis://host", {"ca_file": "ca.pem"}, "redis_ca_file", "rediss://"),
        ("sentinel://host?master=m", {"client_key_file": "client.pem"}, "redis_client_key_file", "ssl=true"),
    ],
)
def test_unusable_file_is_one_line(folder: Path, url: str, files: dict[str, str], setting: str, part: str) -> None:
    with pytest.raises(UnusableSetting) as raised:
        address_of(settings(folder, url, **files))
    assert (raised.value.setting, part in str(raised.value)) == (setting, True)


@pytest.mark.parametrize(
    ("query", "part"), [("ssl_cert_reqs=none", "answers"), ("ssl_check_hostname=false", "trusted")]
)
def test_weaker_verification_is_logged_once(query: str, part: str) -> None:
    chosen = Settings.model_validate({"redis_url": f"rediss://:s3cret@{part}?{query}"})
    with capture_logs() as logs:
        for _ in range(2):
            address_of(chosen)
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("redis_certificate_not_verified", "warning")
    assert (line["redis"], part in line["detail"]) == (f"rediss://{part}:6379/0", True)


def test_verified_certificate_is_not_logged() -> None:
    with capture_logs() as logs:
        address_of(Settings.model_validate({"redis_url": "rediss://host"}))
    assert logs == []


def test_memory_is_no_redis() -> None:
    assert (parse("memory://").embedded, str(parse("memory://")), parse("redis://host").embedded) == (
        True,
        "memory://",
        False,
    )
