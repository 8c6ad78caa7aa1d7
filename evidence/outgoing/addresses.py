"""A destination is resolved once, and every address of it must be a public one: then it is connected to these."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from django.conf import settings

from evidence.outgoing.errors import AddressNotPublic
from evidence.sends import Destination, resolve

NAT64 = IPv6Address("64:ff9b::")


def resolve_public(address: str) -> Destination:
    """Raises AddressNotPublic, DestinationInvalid and DestinationUnknown."""
    destination = resolve(address)
    if settings.AUTOCOM.allow_private_destinations:
        return destination
    for found in destination.addresses:
        if not is_public(found):
            raise AddressNotPublic(
                f"{destination.host} is at {found}, which is no public address: "
                "name a server on the internet, or set ALLOW_PRIVATE_DESTINATIONS=true"
            )
    return destination


def is_public(text: str) -> bool:
    """False too for IPv6 addresses that lead to an IPv4 address (mapped, 6to4, Teredo, NAT64): they could be any."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        leads_elsewhere = address.ipv4_mapped or address.sixtofour or address.teredo
        if leads_elsewhere or int(address) >> 32 == int(NAT64) >> 32:
            return False
    return address.is_global and not address.is_multicast
