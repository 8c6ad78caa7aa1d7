"""Our verification of signatures, against the vectors of RFC 8032 (section 7.1) and against OpenSSL's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.bundles.verify import ORDER, ed25519_verifies, key_of
from tests.evidence.verify.sample import signer

VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_the_vectors_of_the_rfc_verify_and_nothing_near_them(public: str, message: str, signature: str) -> None:
    key, text, signed = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    assert ed25519_verifies(key, text, signed)
    assert not ed25519_verifies(key, text + b"x", signed)
    for at in (0, 31, 32, 63):
        assert not ed25519_verifies(key, text, signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :])
    other_spelling = (int.from_bytes(signed[32:], "little") + ORDER).to_bytes(32, "little")
    assert not ed25519_verifies(key, text, signed[:32] + other_spelling)
    assert not ed25519_verifies(key, text, signed[:63])


@given(st.integers(0, 255), st.binary(max_size=200))
@settings(max_examples=40, deadline=None)
def test_what_openssl_signs_verifies(seed: int, message: bytes) -> None:
    by = signer(seed=seed)
    assert ed25519_verifies(by.key.public, message, by.sign(message))
    assert not ed25519_verifies(signer(seed=(seed + 1) % 256).key.public, message, by.sign(message))


def test_a_key_is_read_from_its_word_and_from_pem() -> None:
    key = signer().key
    assert key_of(key.vkey).public == key_of(key.pem.decode()).public == key.public
    assert key_of(key.vkey).vkey == key.vkey
    with pytest.raises(ValueError, match="verifier key"):
        key_of(key.vkey.replace("localhost", "elsewhere"))
