"""Names of public channels, asked for at every message and therefore remembered."""

from functools import lru_cache

from qsuite.domain.channels import parse_channel


@lru_cache(maxsize=16_384)
def wildcard_of(name: str) -> str:
    """Return the name that stands for every symbol of a public channel's kind."""
    return parse_channel(name).wildcard
