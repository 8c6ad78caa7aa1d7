"""For providers that sign nothing: a credential in a header is the only proof. Who knows it can send any body."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autocom.kernel.errors import ConfigurationError
from ingestion.providers.adapter import InboundDelivery, Reason, Refused, Secret, check_bearer, match_any
from ingestion.providers.option_texts import header_name, option_texts
from ingestion.providers.signature_text import canonical_base64

CREDENTIAL_FORM = "username:password for Basic authentication, or a token; at least 16 visible ASCII characters"
_LEAST_CHARACTERS_COUNT = 16
_AUTHORIZATION = "authorization"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialOptions:
    credential_header: str = _AUTHORIZATION  # any other header carries the credential as it is


def read_credential_options(raw: Mapping[str, object], *, scheme: str) -> CredentialOptions:
    """Raises ConfigurationError."""
    texts = option_texts(raw, scheme=scheme, known=("credential_header",))
    return CredentialOptions(credential_header=header_name(texts, "credential_header", _AUTHORIZATION))


def check_credential(value: str) -> None:
    """Raises ConfigurationError for a credential that is short or that no header can carry."""
    if len(value) < _LEAST_CHARACTERS_COUNT or not all("!" <= character <= "~" for character in value):
        raise ConfigurationError(f"the credential is not usable: a right one is {CREDENTIAL_FORM}")


def verify_credential(delivery: InboundDelivery, *, secrets: Sequence[Secret], options: CredentialOptions) -> Secret:
    """The secret that was presented, as Basic or bearer credentials or in a header of its own. Raises Refused."""
    presented = delivery.required(options.credential_header)
    if options.credential_header != _AUTHORIZATION:
        return _match(presented.encode("latin-1"), secrets=secrets)
    scheme, _, encoded = presented.partition(" ")
    if scheme.lower() != "basic":
        return check_bearer(delivery, keys=secrets)
    return _match(canonical_base64(encoded.strip()), secrets=secrets)


def _match(presented: bytes, *, secrets: Sequence[Secret]) -> Secret:
    try:
        return match_any([presented], [(secret, secret.value.encode()) for secret in secrets])
    except Refused:
        raise Refused(Reason.WRONG_CREDENTIAL) from None


def credential_headers(*, secret: Secret, options: CredentialOptions) -> dict[str, str]:
    """The headers of a request that `verify_credential` accepts: Basic when the secret has a colon, else bearer."""
    if options.credential_header != _AUTHORIZATION:
        return {options.credential_header: secret.value}
    if ":" in secret.value:
        return {"Authorization": f"Basic {base64.b64encode(secret.value.encode()).decode()}"}
    return {"Authorization": f"Bearer {secret.value}"}
