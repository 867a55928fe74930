"""Agree on compressing messages (permessage-deflate, RFC 7692), and undo what a client compressed.

Invariant: neither side keeps anything from one message to the next, so that a compressed message is made once for all
sockets and a socket costs no memory for it; nothing is inflated beyond the limit of a message.
"""

import zlib

EXTENSION = "permessage-deflate"
# What we answer, whether or not it was offered: sections 7.1.1.1 and 7.1.1.2 let a server ask for both.
AGREED = f"{EXTENSION}; server_no_context_takeover; client_no_context_takeover"
# What every compressed message ended with before section 7.2.1 had it removed.
TAIL = b"\x00\x00\xff\xff"
# Those of an offer that ask nothing of us beyond what is agreed; a smaller window for what we send we do not have.
PARAMETERS = frozenset(("server_no_context_takeover", "client_no_context_takeover", "client_max_window_bits"))


def offered(header: str) -> bool:
    """Say whether one of a client's offers can be accepted."""
    return any(_acceptable(offer) for offer in header.split(","))


def _acceptable(offer: str) -> bool:
    name, *parameters = [part.strip() for part in offer.split(";")]
    named = [parameter.partition("=")[0].strip() for parameter in parameters]
    if name != EXTENSION or len(set(named)) < len(named) or not PARAMETERS.issuperset(named):
        return False
    return all(_valid(parameter) for parameter in parameters)


def _valid(parameter: str) -> bool:
    name, given, value = (part.strip() for part in parameter.partition("="))
    if name != "client_max_window_bits":
        return not given
    return not given or value.strip('"') in {str(bits) for bits in range(8, 16)}


def inflate(data: bytes, limit: int) -> bytes | None:
    """Return a message as it was before it was compressed, or None where that is longer than the limit.

    ``zlib.error`` when it is no compressed message.
    """
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    text = unpacker.decompress(data + TAIL, limit + 1)
    return None if len(text) > limit else text
