"""Which addresses count as one host."""

import ipaddress
from functools import lru_cache

REMEMBERED = 4_096


@lru_cache(REMEMBERED)
def one_host(address: str) -> str:
    """Return what a host's addresses have in common: of IPv6 the /64 that one host owns, else the address."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # a UNIX socket, or nothing known
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is None:
            return str(ipaddress.ip_network((ip, 64), strict=False))
        return str(ip.ipv4_mapped)
    return str(ip)
