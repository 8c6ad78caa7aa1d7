"""Provider secrets at rest.

Fernet (AES-128-CBC with HMAC-SHA256, from `cryptography`). The first of PROVIDER_SECRETS_KEYS seals, or SECRET_KEY
where there is none; the others of both settings, and of SECRET_KEY_FALLBACKS, only open. `provider rekey` seals
everything under the newest.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from autocom.kernel.digest import derived_key, key_id
from autocom.kernel.errors import AutocomError

PURPOSE = "autocom.provider-secrets.v1"


class SecretUnreadable(AutocomError):
    """A stored secret was encrypted under a key that is not configured any more."""

    code = "secret_unreadable"


def seal(value: str) -> bytes:
    return _box().encrypt(value.encode())


def unseal(ciphertext: bytes | memoryview) -> str:
    """Raises SecretUnreadable."""
    try:
        return _box().decrypt(bytes(ciphertext)).decode()
    except InvalidToken:
        raise SecretUnreadable(
            "a provider secret opens with none of PROVIDER_SECRETS_KEYS, SECRET_KEY and SECRET_KEY_FALLBACKS: "
            "was a key changed?"
        ) from None


def is_sealed_by_newest(ciphertext: bytes | memoryview) -> bool:
    try:
        _boxes()[0].decrypt(bytes(ciphertext))
    except InvalidToken:
        return False
    return True


def reseal(ciphertext: bytes | memoryview) -> bytes:
    """The same secret under the newest key. Raises SecretUnreadable."""
    return seal(unseal(ciphertext))


def fingerprint_of(value: str) -> str:
    """Eight hex digits to tell secrets apart. Keyed, so that a weak secret cannot be guessed from it."""
    return key_id(derived_key(settings.SECRET_KEY, purpose="autocom.fingerprint.v1") + value.encode())


def _box() -> MultiFernet:
    return MultiFernet(_boxes())


def _boxes() -> list[Fernet]:
    """The newest key's first."""
    keys = (*settings.PROVIDER_SECRETS_KEYS, settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return [Fernet(base64.urlsafe_b64encode(derived_key(str(key), purpose=PURPOSE))) for key in keys]
