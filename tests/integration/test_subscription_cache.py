"""Request templates: read from the database by version, and kept while the database is down."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from tests.harness.databases import filled
from tests.harness.delivery_senders import ref
from tests.harness.secret_keys import OTHER_KEY, SECRET_KEYS
from tests.harness.subscriptions import SECRET as SIGNING
from tests.harness.subscriptions import subscription
from webhookd.clock import monotonic, wall_clock
from webhookd.edges.http_client.event_loop import ExchangeLoop
from webhookd.errors import SecretsUnreadable, StoreUnavailable, UnusableSubscription
from webhookd.flow.attempt.signature import Signer, SigningKind, new_secret, signing_secret
from webhookd.flow.destination import Basic, ClientCredentials, Destination, SigningSecret
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.flow.subscription import Subscription
from webhookd.settings import Settings
from webhookd.store import subscriptions
from webhookd.store.database import Database
from webhookd.store.destination_rows import to_columns
from webhookd.store.secret_keys import SecretKeys
from webhookd.store.tables import SubscriptionRow
from workers.delivery import subscription_cache
from workers.delivery.access_tokens import TokenSources
from workers.delivery.bounded_templates import BoundedTemplates
from workers.delivery.delivery_sender import RequestTemplate, TemplateResult
from workers.delivery.subscription_cache import SubscriptionCache

ID = ref().subscription
SECRET = b"X-Api-Key: secret\r\n"
SEED = new_secret(SigningKind.ED25519, bytes(range(32)))
CLIENT = ClientCredentials(token_url="https://login.example.com/t", client_id="a", client_secret="b")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database with one subscription, in its first version."""
    with filled(tmp_path / "cache.db", version_of(1)) as made:
        yield made


def version_of(version: int, url: str = "https://example.com/hook") -> Subscription:
    return subscription(ID, version=version, destination=Destination(url=url, headers=(("X-Api-Key", "secret"),)))


def lose(database: Database, folder: Path) -> None:
    """Make the database unreadable."""
    database.close()
    (folder / "cache.db").rename(folder / "elsewhere.db")
    (folder / "cache.db").mkdir()


def store_row(database: Database, **values: object) -> None:
    """Change the stored row directly."""
    with database.transaction() as session:
        session.execute(update(SubscriptionRow).where(SubscriptionRow.id == ID).values(**values))


def test_template_has_endpoint_version_and_headers(database: Database) -> None:
    (template,) = SubscriptionCache(database).templates([ref()])
    assert isinstance(template, RequestTemplate)
    assert (template.target.host, template.version, SECRET in template.head) == ("example.com", 1, True)
    assert template.timeout_s is None


def test_template_has_the_timeout(database: Database) -> None:
    store_row(database, limits={"timeout_s": 40.0})
    (template,) = SubscriptionCache(database).templates([ref()])
    assert isinstance(template, RequestTemplate)
    assert template.timeout_s == 40.0


def test_template_has_method_and_success_codes(database: Database) -> None:
    store_row(database, destination={"method": "PATCH", "success_codes": ["201", "3xx"]})
    (template,) = SubscriptionCache(database).templates([ref()])
    assert isinstance(template, RequestTemplate)
    assert template.head.startswith(b"PATCH /hook HTTP/1.1\r\n")
    assert template.success == {201, *range(300, 400)}


def test_template_signs_with_the_decrypted_secrets(database: Database) -> None:
    signing = (signing_secret(SEED), SigningSecret(secret=SIGNING, expires_at=2e9))
    store_destination(database, signing=signing)
    (template,) = SubscriptionCache(database).templates([ref_of(2)])
    assert isinstance(template, RequestTemplate)
    assert template.signer is not None
    assert template.signer.signature(b"m", 1e9, b"x") == Signer(signing).signature(b"m", 1e9, b"x")
    assert template.mask.masked(f"it is {SEED}".encode()) == b"it is ****"


def reason(found: TemplateResult) -> str:
    """Why the destination, or the row, cannot be used."""
    assert isinstance(found, UnusableSubscription), found
    return found.detail


def test_delivery_with_an_unusable_signing_secret_says_so_without_the_secret(database: Database) -> None:
    store_destination(database, signing=(SigningSecret(secret="whsec_c2hvcnQ="),))
    (found,) = SubscriptionCache(database).templates([ref_of(2)])
    assert reason(found).startswith("destination.webhook.signing has 5 bytes: write whsec_")
    assert "c2hvcnQ" not in reason(found)


def store_destination(database: Database, **options: Any) -> None:  # noqa: ANN401  # whatever a Destination takes
    destination = Destination(url="https://example.com/hook", **options)
    with database.transaction() as session:
        subscriptions.replace(session, subscription(ID, version=2, destination=destination))


def test_delivery_with_unusable_success_codes_says_which_one(database: Database) -> None:
    store_row(database, destination={"success_codes": ["twenty"]})
    (found,) = SubscriptionCache(database).templates([ref()])
    assert reason(found) == "destination.webhook.success_codes has 'twenty', which is not a success code"


@pytest.mark.parametrize(("name", "trace"), [("X-Trace", True), ("TraceParent", False)])
def test_trace_context_of_the_record_gives_way_to_a_header(database: Database, name: str, *, trace: bool) -> None:
    store_row(database, headers=[[name, "of the subscription"]])
    (template,) = SubscriptionCache(database).templates([ref()])
    assert isinstance(template, RequestTemplate)
    assert template.trace is trace


def test_template_has_the_login_of_basic(database: Database) -> None:
    store_destination(database, authentication=Basic(username="a", password="b"))
    (template,) = SubscriptionCache(database).templates([ref_of(2)])
    assert isinstance(template, RequestTemplate)
    assert (template.tokens, b"Authorization: Basic YTpi\r\n" in template.head) == (None, True)


def test_templates_with_equal_credentials_share_their_tokens(database: Database) -> None:
    store_destination(database, authentication=CLIENT)
    tokens = TokenSources(ExchangeLoop(Settings()), monotonic=monotonic, wall=wall_clock, deadline_s=1.0)
    (first,) = SubscriptionCache(database, tokens=tokens).templates([ref_of(2)])
    (second,) = SubscriptionCache(database, tokens=tokens).templates([ref_of(2)])
    assert isinstance(first, RequestTemplate)
    assert isinstance(second, RequestTemplate)
    assert first.tokens is second.tokens is not None
    assert b"Authorization" not in first.head


def test_unusable_token_endpoint_gives_no_template(database: Database) -> None:
    store_destination(database, authentication=msgspec.structs.replace(CLIENT, token_url="nowhere"))
    tokens = TokenSources(ExchangeLoop(Settings()), monotonic=monotonic, wall=wall_clock, deadline_s=1.0)
    (found,) = SubscriptionCache(database, tokens=tokens).templates([ref_of(2)])
    assert reason(found).startswith("destination.webhook.authentication ")


def test_each_delivery_of_a_task_gets_a_template(database: Database) -> None:
    templates = SubscriptionCache(database).templates([ref("d1"), ref("d2")])
    assert [type(template) for template in templates] == [RequestTemplate, RequestTemplate]


def test_delivery_of_an_older_version_is_stale(database: Database) -> None:
    store_row(database, version=2)
    assert SubscriptionCache(database).templates([ref()]) == [None]


def test_newer_version_is_read_when_a_delivery_names_it(database: Database) -> None:
    cache = SubscriptionCache(database)
    cache.templates([ref()])
    store_row(database, version=2, url="https://example.org/new")
    newer = ref_of(2)
    (template, old) = cache.templates([newer, ref()])
    assert isinstance(template, RequestTemplate)
    assert (template.target.host, old) == ("example.org", None)


def ref_of(version: int) -> DeliveryRef:
    return msgspec.structs.replace(ref(), version=version)


def test_version_that_is_not_stored_is_stale(database: Database) -> None:
    assert SubscriptionCache(database).templates([ref_of(9)]) == [None]


def test_deleted_subscription_is_stale(database: Database) -> None:
    with database.transaction() as session:
        subscriptions.delete(session, ID)
    assert SubscriptionCache(database).templates([ref()]) == [None]


@pytest.mark.parametrize("url", ["", "ftp://example.com", "not a url"])
def test_unusable_url_says_why(database: Database, url: str) -> None:
    store_row(database, url=url)
    (found,) = SubscriptionCache(database).templates([ref()])
    assert reason(found).startswith("destination.webhook.url " if url else "url: ")


def test_delivery_of_an_older_version_than_the_unusable_one_is_stale(database: Database) -> None:
    store_row(database, version=2, url="nowhere")
    assert SubscriptionCache(database).templates([ref()]) == [None]


def test_destination_is_usable_again_with_its_next_version(database: Database) -> None:
    store_row(database, url="nowhere")
    cache = SubscriptionCache(database)
    reason(cache.templates([ref()])[0])
    store_row(database, url="https://example.com/hook", version=2)
    assert isinstance(cache.templates([ref_of(2)])[0], RequestTemplate)
    assert cache.cached_ids() == [ID]


def test_cached_template_needs_no_database(database: Database, tmp_path: Path) -> None:
    cache = SubscriptionCache(database)
    known = cache.templates([ref()])
    (tmp_path / "cache.db").unlink()
    database.close()
    assert cache.templates([ref()]) == known


def test_template_not_cached_is_an_error_while_the_database_is_down(tmp_path: Path) -> None:
    down = Database(f"sqlite:///{tmp_path / 'nowhere' / 'cache.db'}")
    (answer,) = SubscriptionCache(down).templates([ref()])
    assert isinstance(answer, StoreUnavailable)
    down.close()


def test_cached_template_does_not_wait_for_one_that_is_not(database: Database, tmp_path: Path) -> None:
    cache = SubscriptionCache(database)
    (template,) = cache.templates([ref()])
    lose(database, tmp_path)
    known, unknown = cache.templates([ref(), msgspec.structs.replace(ref(), subscription="s2")])
    assert isinstance(template, RequestTemplate)
    assert (known, type(unknown)) == (template, StoreUnavailable)


def test_older_delivery_waits_for_an_unread_version(database: Database, tmp_path: Path) -> None:
    cache = SubscriptionCache(database)
    cache.templates([ref()])
    lose(database, tmp_path)
    assert [type(answer) for answer in cache.templates([ref(), ref_of(2)])] == [StoreUnavailable] * 2


def compare(cache: SubscriptionCache, database: Database) -> None:
    ids = cache.cached_ids()
    with database.transaction() as session:
        versions = subscriptions.versions(session, ids)
    cache.drop_outdated(ids, versions)


def test_cached_template_of_a_changed_subscription_is_stale(database: Database, tmp_path: Path) -> None:
    cache = SubscriptionCache(database)
    cache.templates([ref()])
    store_row(database, version=2, active=False)
    compare(cache, database)
    lose(database, tmp_path)
    assert cache.templates([ref()]) == [None]


def test_cached_template_of_a_deleted_subscription_is_stale(database: Database, tmp_path: Path) -> None:
    cache = SubscriptionCache(database)
    cache.templates([ref()])
    with database.transaction() as session:
        subscriptions.delete(session, ID)
    compare(cache, database)
    lose(database, tmp_path)
    assert (cache.templates([ref()]), cache.cached_ids()) == ([None], [])


def test_unchanged_template_is_kept(database: Database, tmp_path: Path) -> None:
    cache = SubscriptionCache(database)
    known = cache.templates([ref()])
    compare(cache, database)
    lose(database, tmp_path)
    assert cache.templates([ref()]) == known


def test_notified_version_counts_without_a_database(database: Database, tmp_path: Path) -> None:
    cache = SubscriptionCache(database)
    cache.templates([ref()])
    lose(database, tmp_path)
    cache.invalidate(ID, 2)
    assert cache.templates([ref()]) == [None]


def test_older_notification_changes_nothing(database: Database) -> None:
    store_row(database, version=3)
    cache = SubscriptionCache(database)
    cache.invalidate(ID, 3)
    cache.invalidate(ID, 2)
    (current, old) = cache.templates([ref_of(3), ref_of(2)])
    assert (type(current), old) == (RequestTemplate, None)


def test_secrets_that_no_key_decrypts_stop_only_their_subscription(database: Database, tmp_path: Path) -> None:
    with database.transaction() as session:
        subscriptions.insert(session, subscription("s2", destination=Destination(url="https://example.com/hook")))
    keyless = Database(f"sqlite:///{tmp_path / 'cache.db'}")
    cache = SubscriptionCache(keyless)
    sealed, plain = cache.templates([ref(), msgspec.structs.replace(ref("d2"), subscription="s2")])
    assert isinstance(sealed, SecretsUnreadable)
    assert isinstance(plain, RequestTemplate)
    assert cache.secrets_error == f"WEBHOOKD_SECRET_KEYS is not set: subscriptions {ID}"
    assert sorted(cache.cached_ids()) == sorted([ID, "s2"])
    with database.transaction() as session:
        bare = version_of(2, "https://example.org/new")
        subscriptions.replace(session, replace(bare, destination=replace(bare.destination, headers=())))
    assert isinstance(cache.templates([ref_of(2)])[0], RequestTemplate)
    assert cache.secrets_error == ""
    keyless.close()


def encrypt(database: Database, key: SecretKeys) -> None:
    """Encrypt the secrets of the row with another key; its version stays, as with `webhookd secrets rotate`."""
    stored = version_of(1)
    store_row(database, secrets=to_columns(stored.destination, stored.limits, key)["secrets"])


def test_secrets_that_are_encrypted_with_a_known_key_again_can_be_used(database: Database) -> None:
    encrypt(database, SecretKeys([OTHER_KEY]))
    cache = SubscriptionCache(database)
    assert isinstance(cache.templates([ref()])[0], SecretsUnreadable)
    encrypt(database, SECRET_KEYS)
    assert isinstance(cache.templates([ref()])[0], RequestTemplate)
    assert cache.secrets_error == ""


def test_secrets_that_can_be_read_again_are_no_error_without_a_delivery(database: Database) -> None:
    encrypt(database, SecretKeys([OTHER_KEY]))
    cache = SubscriptionCache(database)
    cache.templates([ref()])
    cache.check_unusable()
    assert ID in cache.secrets_error
    encrypt(database, SECRET_KEYS)
    cache.check_unusable()
    assert cache.secrets_error == ""


def test_templates_that_make_each_other_leave_are_all_there_for_their_task(database: Database) -> None:
    with database.transaction() as session:
        for number in range(2, 5):
            subscriptions.insert(session, replace(version_of(1), id=f"s{number}"))
    cache = SubscriptionCache(database, templates=BoundedTemplates(most=1))
    refs = [msgspec.structs.replace(ref(), subscription=id_) for id_ in (ID, "s2", "s3", "s4")]
    for wanted in (refs[:1], refs, refs[::-1]):
        assert [type(found) for found in cache.templates(wanted)] == [RequestTemplate] * len(wanted)


def test_each_unusable_subscription_has_its_turn(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription_cache, "CHECKED", 1)
    with database.transaction() as session:
        subscriptions.insert(session, replace(version_of(1), id="s2"))
    keyless = Database(f"sqlite:///{tmp_path / 'cache.db'}")
    cache = SubscriptionCache(keyless)
    cache.templates([ref(), msgspec.structs.replace(ref("d2"), subscription="s2")])
    with database.transaction() as session:
        session.execute(update(SubscriptionRow).where(SubscriptionRow.id == "s2").values(secrets="", headers=[]))
    cache.check_unusable()
    cache.check_unusable()
    assert cache.secrets_error == f"WEBHOOKD_SECRET_KEYS is not set: subscriptions {ID}"
    keyless.close()


def test_deleted_subscription_is_no_error_any_more(database: Database, tmp_path: Path) -> None:
    keyless = Database(f"sqlite:///{tmp_path / 'cache.db'}")
    cache = SubscriptionCache(keyless)
    assert database is not None  # it has the subscription
    cache.templates([ref()])
    cache.drop_outdated([ID], {ID: 1})
    assert ID in cache.secrets_error
    cache.drop_outdated([ID], {})
    assert cache.secrets_error == ""
    keyless.close()
