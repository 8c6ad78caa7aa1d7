"""Which addresses are this machine's."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Judged by the name as it is written: to ask a resolver would be a send already."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
