"""Signatures of labels and verdicts: Ed25519 (RFC 8032), so that who checks them cannot make them.

The private key is in the environment of the gate's container and of the review page, and nowhere else; every step has
the public keys that the installation accepts. Where those are set, what is unsigned, or signed by another key, is
refused.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from steps.core.digest import canonical_json
from steps.core.errors import ConfigError

SIGNING_KEY, PUBLIC_KEYS = "TOKENMILL_SIGNING_KEY", "TOKENMILL_PUBLIC_KEYS"
# the words in front keep a private key out of the list that every step gets
PRIVATE, PUBLIC = "ed25519-private-", "ed25519-public-"
Kind = Literal["label", "verdict"]


class PublicKey:
    """A key that signatures are checked with. ``text`` is how settings name it, ``id`` how signatures and people do."""

    def __init__(self, raw: bytes) -> None:
        self.text = PUBLIC + raw.hex()
        self.id = hashlib.sha256(raw).hexdigest()[:16]
        self._key = Ed25519PublicKey.from_public_bytes(raw)

    def accepts(self, kind: Kind, content: object, signature: bytes) -> bool:
        """Whether the private key that belongs to this one signed ``content`` as a thing of this ``kind``."""
        try:
            self._key.verify(signature, _message(kind, content))
        except InvalidSignature:
            return False
        return True


class Signer:
    """A private key. Its ``repr`` does not show it."""

    def __init__(self, raw: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(raw)
        self.public = PublicKey(self._key.public_key().public_bytes_raw())

    def sign(self, kind: Kind, content: object) -> str:
        """``<key id>:<signature in hex>`` of the canonical JSON of ``content``; the same for the same content."""
        return f"{self.public.id}:{self._key.sign(_message(kind, content)).hex()}"


def signer(settings: Mapping[str, str] | None = None) -> Signer | None:
    """The key to sign with, from TOKENMILL_SIGNING_KEY; None where this installation signs nothing.

    Raises ConfigError where signatures are required and this process has no key, or one that nobody would accept.
    """
    settings = os.environ if settings is None else settings
    value, accepted = settings.get(SIGNING_KEY, "").strip(), trusted_keys(settings)
    if not value:
        if accepted:
            raise ConfigError(
                f"{PUBLIC_KEYS} is set, so that labels and verdicts must be signed, and {SIGNING_KEY} is not: "
                "the gate and the review page need it"
            )
        return None
    found = Signer(_raw(value, PRIVATE, SIGNING_KEY))
    if found.public.id not in accepted:
        raise ConfigError(
            f"{SIGNING_KEY}: its public key {found.public.text} is not in {PUBLIC_KEYS}; add it there"
        )
    return found


def trusted_keys(settings: Mapping[str, str] | None = None) -> dict[str, PublicKey]:
    """The keys of TOKENMILL_PUBLIC_KEYS (separated by commas) by id; none: signatures are not required.

    Raises ConfigError for one that is damaged.
    """
    settings = os.environ if settings is None else settings
    texts = [text.strip() for text in settings.get(PUBLIC_KEYS, "").split(",") if text.strip()]
    keys = [PublicKey(_raw(text, PUBLIC, f"{PUBLIC_KEYS}, key {i}")) for i, text in enumerate(texts, 1)]
    return {key.id: key for key in keys}


def is_signed(kind: Kind, content: object, signature: str, trusted: Mapping[str, PublicKey]) -> bool:
    """Whether ``signature`` is one of ``content`` by a trusted key."""
    name, _, value = signature.partition(":")
    return (
        name in trusted
        and re.fullmatch("[0-9a-f]{128}", value) is not None
        and trusted[name].accepts(kind, content, bytes.fromhex(value))
    )


def new_keys(settings: Mapping[str, str]) -> dict[str, str]:
    """Both settings with a fresh key to sign with; the public keys that ``settings`` accept stay accepted."""
    raw = os.urandom(32)
    public = [Signer(raw).public.text, *(key.text for key in trusted_keys(settings).values())]
    return {SIGNING_KEY: PRIVATE + raw.hex(), PUBLIC_KEYS: ",".join(public)}


def _message(kind: Kind, content: object) -> bytes:
    """What is signed: the kind first, so that a label's signature is never one of a verdict."""
    return f"tokenmill {kind}\n".encode() + canonical_json(content)


def _raw(text: str, prefix: str, name: str) -> bytes:
    """The 32 bytes of a key's text. The message never shows the text: it may be the private key."""
    if not re.fullmatch(prefix + "[0-9a-f]{64}", text):
        raise ConfigError(
            f"{name}: not a key ({prefix} and 64 hexadecimal digits); `tokenmill keys new` makes keys"
        )
    return bytes.fromhex(text.removeprefix(prefix))
