"""One parcel to the endpoint: look whether it is there, send it whole or in pieces, look again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from evidence.publishing.answers import (
    Delivered,
    EndpointBusy,
    accepted,
    holds,
    is_partial,
    is_there,
    link_of,
    not_stored,
    received_bytes,
)
from evidence.publishing.exchange import Answer, Limits, exchange
from evidence.publishing.parcels import Parcel
from evidence.sends import Destination, resolve

PIECE_BYTES = 8 * 1_024 * 1_024  # what a broken connection costs at most; smaller artifacts go whole, unasked
UNAUTHORISED = (401, 403)
NOT_IMPLEMENTED = 501


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where parcels go, resolved once for an attempt."""

    url: str
    destination: Destination
    token: str = field(repr=False)
    limits: Limits = field(default_factory=Limits)
    piece_bytes: int = PIECE_BYTES

    @classmethod
    def at(cls, url: str, *, token: str) -> Self:
        """Raises DestinationInvalid and DestinationUnknown."""
        return cls(url=url, destination=resolve(url), token=token)

    def address(self, parcel: Parcel) -> str:
        return f"{self.url}/{parcel.sha256}"

    def head(self, parcel: Parcel) -> Answer:
        return self._ask("HEAD", parcel, {})

    def question(self, parcel: Parcel) -> Answer:
        """How much of it is there? 308 with Range from who can tell."""
        headers = {**parcel.digests, "Content-Range": f"bytes */{parcel.size_bytes}"}
        return self._ask("PUT", parcel, headers)

    def put(self, parcel: Parcel, *, first: int, end: int, holding: Callable[[], None]) -> Answer:
        """The bytes from `first` to before `end`; all of them are a plain PUT."""
        headers = {
            **parcel.digests,
            "Content-Type": "application/octet-stream",
            "Content-Disposition": parcel.disposition,
        }
        if end - first < parcel.size_bytes:
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{parcel.size_bytes}"
        return self._ask("PUT", parcel, headers, chunks=_held(parcel.chunks(first, end), holding), size=end - first)

    def _ask(
        self, method: str, parcel: Parcel, headers: dict[str, str], *, chunks: Iterable[bytes] = (), size: int = 0
    ) -> Answer:
        credential = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return exchange(
            self.destination,
            method=method,
            path=urlsplit(self.address(parcel)).path,
            headers={**headers, **credential},
            chunks=chunks,
            size_bytes=size,
            limits=self.limits,
        )


def deliver(parcel: Parcel, *, endpoint: Endpoint, holding: Callable[[], None]) -> Delivered:
    """The endpoint has the parcel afterwards. `holding` is called often, and ends the attempt by raising.

    Raises Broken, EndpointBusy, EndpointRefuses, and what reading the artifact raises.
    """
    holding()
    url = endpoint.address(parcel)
    before = endpoint.head(parcel)
    if is_there(before, parcel):
        return Delivered(link=link_of(before, url=url), verified=holds(before, parcel))
    answer = _sent(parcel, endpoint=endpoint, holding=holding)
    accepted(answer, parcel)
    return Delivered(link=link_of(answer, url=url), verified=holds(endpoint.head(parcel), parcel))


def _sent(parcel: Parcel, *, endpoint: Endpoint, holding: Callable[[], None]) -> Answer:
    if parcel.size_bytes <= endpoint.piece_bytes:
        return endpoint.put(parcel, first=0, end=parcel.size_bytes, holding=holding)
    asked = endpoint.question(parcel)
    if is_partial(asked):
        return _sent_in_pieces(parcel, asked, endpoint=endpoint, holding=holding)
    _refuse_where_nothing_helps(asked)
    # an answer of success too: a simple store has now stored an empty body under this name, and is given the whole
    return endpoint.put(parcel, first=0, end=parcel.size_bytes, holding=holding)


def _sent_in_pieces(parcel: Parcel, answer: Answer, *, endpoint: Endpoint, holding: Callable[[], None]) -> Answer:
    had = -1
    while is_partial(answer):
        first = received_bytes(answer, parcel)
        if not had < first < parcel.size_bytes:
            raise EndpointBusy(f"it has {first:,} of {parcel.size_bytes:,} bytes and takes no more")
        had, end = first, min(first + endpoint.piece_bytes, parcel.size_bytes)
        answer = endpoint.put(parcel, first=first, end=end, holding=holding)
    return answer


def _refuse_where_nothing_helps(asked: Answer) -> None:
    error = not_stored(asked) if asked.status >= 300 else None
    if error and asked.status != NOT_IMPLEMENTED and (error.retryable or asked.status in UNAUTHORISED):
        raise error


def _held(chunks: Iterator[bytes], holding: Callable[[], None]) -> Iterator[bytes]:
    for chunk in chunks:
        holding()
        yield chunk
