"""Guesses what an event means from the last word of its type, where a provider has no table of its own."""

from ingestion.providers.adapter import Kind

_BY_WORD = {kind.value: kind for kind in Kind}


def kind_by_last_word(event_type: str) -> Kind:
    """`message.delivered` is DELIVERED; a word that names no kind is OTHER."""
    return _BY_WORD.get(event_type.rsplit(".", 1)[-1].lower(), Kind.OTHER)
