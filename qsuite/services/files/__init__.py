"""Reading market data from files and request bodies: bytes in, validated domain rows and explained refusals out.

What reads files is imported when it is first asked for: it needs pyarrow, which takes a quarter of a second that a
starting server does not have.
"""

from typing import TYPE_CHECKING, Any

from qsuite.services.files.layout import FileKind
from qsuite.services.files.rows import BadRow, Chunk, Decoded, MarketRow

if TYPE_CHECKING:
    from qsuite.services.files.market_file import FileOptions, MarketFile, open_market_file

__all__ = ["BadRow", "Chunk", "Decoded", "FileKind", "FileOptions", "MarketFile", "MarketRow", "open_market_file"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from qsuite.services.files import market_file

    return getattr(market_file, name)
