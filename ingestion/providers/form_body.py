"""Reads and writes `application/x-www-form-urlencoded` bodies."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode

from ingestion.providers.adapter import BodyInvalid, InboundDelivery, Reason, Refused

FORM_CONTENT_TYPE = "application/x-www-form-urlencoded"
FIELDS_LIMIT_COUNT = 1_000

type Pairs = list[tuple[str, str]]


def parse_form(body: bytes) -> Pairs:
    """Names and values in the body's order, blanks and spaces kept. Raises BodyInvalid."""
    try:
        return parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_LIMIT_COUNT
        )
    except UnicodeDecodeError:
        raise BodyInvalid("the form is not UTF-8") from None
    except ValueError:
        raise BodyInvalid(f"the form has more than {FIELDS_LIMIT_COUNT} fields") from None


def form_text(body: bytes, name: str) -> str:
    """The value of a field, the last one where it is repeated. Raises BodyInvalid where there is none."""
    values = [value for field, value in parse_form(body) if field == name]
    if not values:
        raise BodyInvalid(f"the form has no field {name}")
    return values[-1]


def signed_form(delivery: InboundDelivery) -> Pairs:
    """The form whose signature is to be checked. Raises Refused(MALFORMED) where `parse_form` raises BodyInvalid."""
    try:
        return parse_form(delivery.body)
    except BodyInvalid as error:
        raise Refused(Reason.MALFORMED, str(error)) from None


def form_json(pairs: Iterable[tuple[str, str]]) -> bytes:
    """The form as a JSON object: a name's value as text, or its values as an array where the name is repeated."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return json.dumps(
        {name: found[0] if len(found) == 1 else found for name, found in values.items()}, separators=(",", ":")
    ).encode()


def encode_form(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Raises UnicodeEncodeError for a lone surrogate, which no form can carry."""
    return urlencode(list(pairs)).encode("ascii")
