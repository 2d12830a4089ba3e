"""Secrets at rest: what is sealed tells nothing, any key in force opens it, and no other does."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet

from holdfast import bootstrap
from holdfast.adapters.vault import FernetVault, new_key
from holdfast.domain.errors import HoldfastError
from holdfast.ports.vault import SEALED, SecretUnreadable
from holdfast.settings import Settings

OLD, NEW = new_key(), new_key()
VALUES = ["whsec_abc", ["one", "two"], {"Authorization": "Bearer x"}, "", "\0", "sealed:no"]


@pytest.mark.parametrize("value", VALUES)
def test_what_was_sealed_is_opened_as_it_was_and_cannot_be_read_meanwhile(value: object) -> None:
    vault = FernetVault([NEW])
    sealed = vault.seal(value)
    assert sealed.startswith(SEALED)
    assert "whsec_abc" not in sealed
    assert vault.open(sealed) == value
    assert vault.seal(value) != sealed, "equal secrets do not look equal"


def test_while_keys_rotate_both_open_and_the_newest_seals() -> None:
    before, during, after = FernetVault([OLD]), FernetVault([NEW, OLD]), FernetVault([NEW])
    kept = before.seal("secret")
    assert during.open(kept) == "secret"
    assert during.stale(kept)
    fresh = during.seal(during.open(kept))
    assert not during.stale(fresh)
    assert after.open(fresh) == "secret"
    with pytest.raises(SecretUnreadable, match="HOLDFAST_ENCRYPTION_KEYS"):
        after.open(kept)


def test_a_changed_text_is_not_opened() -> None:
    vault = FernetVault([NEW])
    sealed = vault.seal("secret")
    with pytest.raises(SecretUnreadable):
        vault.open(sealed[:-8] + "AAAAAAA=")


def test_text_in_the_clear_is_read_as_it_is_and_counts_as_stale() -> None:
    vault = FernetVault([NEW])
    assert vault.open("whsec_from_before") == "whsec_from_before"
    assert vault.stale("whsec_from_before")


def test_a_new_key_is_a_fernet_key() -> None:
    assert Fernet(new_key())


def test_keys_are_read_from_the_environment_newest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_ENCRYPTION_KEYS", f'["{NEW}", "{OLD}"]')
    vault = bootstrap.vault(Settings(environment="production"))
    assert vault.open(FernetVault([OLD]).seal(1)) == 1
    assert FernetVault([NEW]).open(vault.seal(2)) == 2


def test_production_without_a_key_says_what_to_do() -> None:
    with pytest.raises(HoldfastError, match=r"HOLDFAST_ENCRYPTION_KEYS is not set.*new-key"):
        bootstrap.vault(Settings(environment="production", encryption_keys=()))


def test_what_is_no_key_is_named_by_its_place_and_not_shown() -> None:
    with pytest.raises(HoldfastError, match="key 2 is not 32 bytes") as refused:
        bootstrap.vault(Settings(encryption_keys=(NEW, "too short")))
    assert "too short" not in str(refused.value)
