"""A piece of news as it is kept: what was said when, of which symbols, and how it was judged at that time."""

import hashlib
from dataclasses import dataclass
from uuid import UUID

from qsuite.domain.analytics.sentiment import Judgement
from qsuite.domain.times import format_rfc3339


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One article. ``published_at`` is when anybody could read it, in nanoseconds.

    ``sentiment`` was made when it was stored, by ``model`` (the lexicon's name or a model's id), and stays: a model
    trained later may have learnt from what came of this.
    """

    id: UUID
    symbols: tuple[str, ...]
    headline: str
    summary: str
    source: str
    url: str | None
    published_at: int
    sentiment: Judgement
    model: str
    created_at: int

    @property
    def digest(self) -> str:
        """Return what is the same for the same article sent again."""
        return digest_of(self.source, self.url or self.headline, self.published_at)


def digest_of(source: str, name: str, published_at: int) -> str:
    """Return a digest (hex) of what makes an article the same: source, address or else headline, and time."""
    return hashlib.sha256("\n".join((source, name, format_rfc3339(published_at))).encode()).hexdigest()
