"""Keys and signatures: who checks cannot make them, and nothing that is wrong is shown or accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from steps.core.cli import main
from steps.core.errors import ConfigError
from steps.core.settings_file import read_settings
from steps.core.signing import (
    PRIVATE,
    PUBLIC,
    PUBLIC_KEYS,
    SIGNING_KEY,
    Signer,
    is_signed,
    new_keys,
    signer,
    trusted_keys,
)

# RFC 8032 §7.1, test 1: the secret key and its public key
SECRET = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
KNOWN_PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
CONTENT = {"status": "pass", "look": 1}


def made(before: dict[str, str] | None = None) -> tuple[Signer, dict[str, str]]:
    settings = new_keys(before or {})
    found = signer(settings)
    assert found is not None
    return found, settings


def test_the_keys_are_those_of_the_standard() -> None:
    settings = {SIGNING_KEY: PRIVATE + SECRET, PUBLIC_KEYS: PUBLIC + KNOWN_PUBLIC}
    found = signer(settings)
    assert found is not None and found.public.text == PUBLIC + KNOWN_PUBLIC
    assert SECRET not in repr(found) and SECRET not in str(vars(found))


def test_a_signature_holds_for_its_content_its_kind_and_its_key_alone() -> None:
    key, settings = made()
    trusted = trusted_keys(settings)
    signature = key.sign("verdict", CONTENT)
    assert signature == key.sign("verdict", dict(reversed(CONTENT.items()))), "the order of keys says nothing"
    assert signature.startswith(f"{key.public.id}:")
    assert is_signed("verdict", CONTENT, signature, trusted)
    assert not is_signed("verdict", {**CONTENT, "look": 2}, signature, trusted)
    assert not is_signed("label", CONTENT, signature, trusted)
    other, others = made()
    assert not is_signed("verdict", CONTENT, signature, trusted_keys(others))
    stolen_name = f"{key.public.id}:{other.sign('verdict', CONTENT).partition(':')[2]}"
    for wrong in ("", signature[:-1], signature[:-2] + "zz", signature.upper(), stolen_name):
        assert not is_signed("verdict", CONTENT, wrong, trusted), wrong


def test_after_a_change_of_keys_old_and_new_signatures_hold_until_the_old_key_is_taken_out() -> None:
    old, before = made()
    new, after = made(before)
    assert [key.id for key in trusted_keys(after).values()] == [new.public.id, old.public.id]
    for key in (old, new):
        assert is_signed("verdict", CONTENT, key.sign("verdict", CONTENT), trusted_keys(after))
    retired = trusted_keys({PUBLIC_KEYS: after[PUBLIC_KEYS].partition(",")[0]})
    assert not is_signed("verdict", CONTENT, old.sign("verdict", CONTENT), retired)


def test_settings_that_do_not_fit_are_refused_and_no_private_key_is_shown() -> None:
    _, settings = made()
    _, strange = made()
    private = settings[SIGNING_KEY]
    assert signer({}) is None and trusted_keys({}) == {}
    wrong = {
        f"{SIGNING_KEY} is not": {PUBLIC_KEYS: settings[PUBLIC_KEYS]},
        f"is not in {PUBLIC_KEYS}": {**strange, SIGNING_KEY: private},
        f"{SIGNING_KEY}: not a key": {**settings, SIGNING_KEY: private[:-1]},
        f"{PUBLIC_KEYS}, key 2: not a key": {**settings, PUBLIC_KEYS: f"{settings[PUBLIC_KEYS]},{private}"},
    }
    for message, given in wrong.items():
        with pytest.raises(ConfigError) as refused:
            signer(given)
        assert message in str(refused.value)
        assert private.removeprefix(PRIVATE)[:20] not in str(refused.value)


def test_the_command_makes_keys_and_shows_the_public_ones_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / ".env"
    file.write_text("# mine\nS3_PORT=9000\n")
    assert main(["keys", "new", str(file)]) == 0
    first = read_settings(file)
    assert main(["keys", "new", str(file)]) == 0
    second = read_settings(file)
    assert file.stat().st_mode & 0o777 == 0o600 and file.read_text().startswith("# mine\nS3_PORT=9000\n")
    assert second[SIGNING_KEY] != first[SIGNING_KEY]
    assert second[PUBLIC_KEYS].endswith(f",{first[PUBLIC_KEYS]}")
    capsys.readouterr()
    assert main(["keys", "show", str(file)]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert [line.split()[0] for line in lines] == ["signs", "accepted"]
    assert [line.split()[2] for line in lines] == second[PUBLIC_KEYS].split(",")
    for settings in (first, second):
        assert settings[SIGNING_KEY].removeprefix(PRIVATE) not in shown.out + shown.err
    assert main(["keys", "new"]) == 64
    assert main(["keys", "show", str(tmp_path / "missing")]) == 64
