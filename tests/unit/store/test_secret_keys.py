"""Keys of secrets: which one encrypts, which ones decrypt, and how they are read from settings and files."""

import stat
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from command.state_directory import StateDirectory
from stack import dev_stack
from tests.harness.secret_keys import KEY, OTHER_KEY
from webhookd.errors import SecretKeysMissing, SecretsUnreadable, UnusableSetting
from webhookd.flow.destination import Sealed, Unencrypted
from webhookd.settings import Settings
from webhookd.store.secret_keys import SecretKeys, generate, key_file, secret_keys_of, with_key_file


def test_first_key_encrypts_and_every_key_decrypts() -> None:
    sealed = SecretKeys([OTHER_KEY, KEY]).seal("value")
    assert isinstance(sealed, Sealed)
    assert SecretKeys([KEY, OTHER_KEY]).open(sealed) == "value"
    with pytest.raises(SecretsUnreadable, match="no key in WEBHOOKD_SECRET_KEYS"):
        SecretKeys([KEY]).open(sealed)


def test_text_that_looks_encrypted_is_encrypted_like_any_other() -> None:
    keys = SecretKeys([KEY])
    foreign = str(keys.seal("of another tenant"))
    assert keys.open(keys.seal(foreign)) == foreign


def test_process_without_a_key_keeps_what_it_cannot_encrypt_or_read() -> None:
    keys, sealed = SecretKeys(), SecretKeys([KEY]).seal("value")
    assert keys.resealed(sealed) is sealed
    assert keys.resealed(Unencrypted("old")) == "old"
    assert keys.seal("") == ""
    with pytest.raises(SecretKeysMissing):
        keys.seal("new")
    with pytest.raises(SecretsUnreadable, match="WEBHOOKD_SECRET_KEYS is not set"):
        keys.open(sealed)


def test_writing_again_changes_to_the_first_key() -> None:
    sealed = SecretKeys([OTHER_KEY]).seal("value")
    again = SecretKeys([KEY, OTHER_KEY]).resealed(sealed)
    assert SecretKeys([KEY]).open(again) == "value"
    assert SecretKeys([KEY, OTHER_KEY]).resealed(again) is again


def test_no_repr_shows_keys_or_tokens() -> None:
    keys = SecretKeys([KEY])
    assert KEY not in repr(keys)
    assert repr(keys.seal("value")) == "Sealed()"
    assert repr(Unencrypted("value")) == "Unencrypted()"


def test_keys_come_from_the_setting() -> None:
    keys = secret_keys_of(Settings(secret_keys=SecretStr(f"{KEY}, {OTHER_KEY}")))
    assert keys.open(SecretKeys([OTHER_KEY]).seal("value")) == "value"
    assert not secret_keys_of(Settings())


def test_keys_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{OTHER_KEY}\n{KEY}\n")
    keys = secret_keys_of(Settings(secret_keys_file=file))
    assert [keys.place(Sealed(SecretKeys([key]).seal("value"))) for key in (OTHER_KEY, KEY, generate())] == [0, 1, None]


@pytest.mark.parametrize("text", ["short", f"{KEY},{KEY[:-1]}", KEY.replace("d", "!", 1)])
def test_what_is_no_key_is_refused_without_showing_it(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(secret_keys=SecretStr(text))
    assert "32 bytes in base64url" in str(refused.value)
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(UnusableSetting, match="32 bytes in base64url") as unusable:
        secret_keys_of(Settings(secret_keys_file=file))
    assert text not in str(unusable.value)


def test_file_without_a_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("\n")
    with pytest.raises(UnusableSetting, match=r"keys: has no key: write keys"):
        secret_keys_of(Settings(secret_keys_file=file))


def test_made_key_is_for_its_owner_alone_and_stays(tmp_path: Path) -> None:
    file = key_file(tmp_path)
    made = file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert key_file(tmp_path).read_text() == made
    assert list(tmp_path.iterdir()) == [file]


def test_state_directory_keeps_a_key_for_its_owner_alone(tmp_path: Path) -> None:
    with StateDirectory(tmp_path / "state") as directory:
        settings = directory.with_secret_key(Settings())
    assert settings.secret_keys_file == tmp_path / "state" / "secret-key"
    assert stat.S_IMODE((tmp_path / "state" / "secret-key").stat().st_mode) == 0o600


def test_checkout_has_a_key_unless_the_environment_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev_stack, "SECRET_KEY_FOLDER", tmp_path)
    monkeypatch.delenv("WEBHOOKD_SECRET_KEYS", raising=False)
    monkeypatch.delenv("WEBHOOKD_SECRET_KEYS_FILE", raising=False)
    assert dev_stack.secret_key_settings() == {"WEBHOOKD_SECRET_KEYS_FILE": str(tmp_path / "secret-key")}
    monkeypatch.setenv("WEBHOOKD_SECRET_KEYS", KEY)
    assert dev_stack.secret_key_settings() == {}


def test_key_that_is_set_needs_no_file(tmp_path: Path) -> None:
    settings = Settings(secret_keys=SecretStr(KEY))
    assert with_key_file(settings, tmp_path) is settings
    assert secret_keys_of(with_key_file(Settings(), tmp_path))
