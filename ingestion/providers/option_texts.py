"""Reads the options of a provider: texts under known names, nothing else."""

import re
from collections.abc import Mapping, Sequence

from autocom.kernel.errors import ConfigurationError

_HEADER_NAME = re.compile(r"\A[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")  # a token of RFC 9110


def option_texts(raw: Mapping[str, object], *, scheme: str, known: Sequence[str] = ()) -> dict[str, str]:
    """The options, all texts. Raises ConfigurationError that names the unknown ones and lists the known."""
    unknown = sorted(set(raw) - set(known))
    if unknown:
        has = f"known are {', '.join(known)}" if known else f"the scheme {scheme} has none"
        raise ConfigurationError(f"options {', '.join(unknown)} are unknown: {has}")
    texts = {name: value for name, value in raw.items() if isinstance(value, str)}
    if wrong := sorted(set(raw) - set(texts)):
        raise ConfigurationError(f"option {wrong[0]} of the scheme {scheme} is not a text: write it in quotes")
    return texts


def dotted_path(texts: Mapping[str, str], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """The steps of a dotted path such as data.id; the default when absent or empty. Raises ConfigurationError."""
    if not texts.get(name):
        return default
    steps = tuple(texts[name].split("."))
    if not all(steps):
        raise ConfigurationError(f"option {name} is {texts[name]!r}: write a dotted path such as data.id")
    return steps


def header_name(texts: Mapping[str, str], name: str, default: str, *, may_be_empty: bool = False) -> str:
    """A header's name in lower case; the default when absent. Raises ConfigurationError."""
    value = texts.get(name, default)
    if value == "" and may_be_empty:
        return ""
    if not _HEADER_NAME.match(value):
        raise ConfigurationError(
            f"option {name} is {value!r}: write a header's name such as {default or 'X-Signature'}"
        )
    return value.lower()
