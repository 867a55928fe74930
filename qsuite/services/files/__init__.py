"""Reading market data from files and request bodies: bytes in, validated domain rows and explained refusals out."""

from qsuite.services.files.layout import FileKind
from qsuite.services.files.market_file import FileOptions, MarketFile, open_market_file
from qsuite.services.files.rows import BadRow, Chunk, Decoded, MarketRow

__all__ = ["BadRow", "Chunk", "Decoded", "FileKind", "FileOptions", "MarketFile", "MarketRow", "open_market_file"]
