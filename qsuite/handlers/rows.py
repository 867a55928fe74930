"""A handler that answers rows: pages of JSON, or all of them at once as NDJSON, CSV or an Arrow stream.

Invariant: what is streamed is whole, or its end is missing for all to see: when reading fails half way the connection
is closed without the last chunk (and Arrow's end mark), because an answer cut short must not look like all there is.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TypeVar

import structlog
from tornado.iostream import StreamClosedError

from qsuite.domain.errors import Invalid, QSuiteError
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.connection import ApiConnection
from qsuite.handlers.operations import ARROW, CSV, JSON, NDJSON
from qsuite.handlers.row_formats import RowTable, RowWriter, writer_for

log = structlog.get_logger(__name__)

T = TypeVar("T")
Batch = TypeVar("Batch")

ROW_TYPES = (JSON, NDJSON, CSV, ARROW)
PAGING = ("page", "page_size", "cursor")


class RowsHandler(ApiHandler):
    """Answer rows in one of ``ROW_TYPES``, which the operation declares as ``shows``."""

    lasting = False
    _left = False

    def cursor_only(self, what: str) -> str:
        """Return the cursor of a list that has no numbered pages, empty for its first one. Invalid for a number."""
        listing = self.listing()
        if listing.page > 1:
            raise Invalid("the query string has errors", errors={"page": [f"{what} page by cursor"]})
        self._listing = replace(listing, cursor=listing.cursor or "")
        return listing.cursor or ""

    async def answer_rows(self, batches: AsyncGenerator[Sequence[T], None], table: RowTable[T]) -> None:
        """Write all rows in the type asked for, at the client's pace; memory holds one batch."""
        media = self.shown_as
        await self.answer_batches(batches, lambda: writer_for(media, table))

    async def answer_batches(
        self, batches: AsyncGenerator[Batch, None], make_writer: Callable[[], RowWriter[Batch]]
    ) -> None:
        """Write batches, which are not empty, at the client's pace; memory holds one.

        What goes wrong before the first batch is a problem like any other.
        """
        async with aclosing(batches):
            self._refuse_paging()
            with self.services.downloads.admit():
                self.note_taken()
                writer = await asyncio.to_thread(make_writer)
                first = await anext(batches, None)
                self.lasting = True  # its time is the client's
                self._begin(writer.media)
                try:
                    await self._stream(writer, first, batches)
                except StreamClosedError:
                    log.debug("download.left", path=self.request.path)
                except QSuiteError as error:
                    log.warning("download.cut_off", path=self.request.path, code=error.code, reason=error.detail)
                    self._hang_up()
                except Exception:
                    log.exception("download.cut_off", path=self.request.path)
                    self._hang_up()

    def note_taken(self) -> None:
        """Have the record say that rows are taken away."""
        facts = {"query": self.request.query, "media": self.shown_as}
        self.services.audit.note("export.taken", subject=self.request.path, facts=facts)

    def on_connection_close(self) -> None:
        """Stop reading for a client that left."""
        super().on_connection_close()
        self._left = True

    def _refuse_paging(self) -> None:
        paged = {name: [f"{self.shown_as} comes whole, without pages"] for name in PAGING if name in self._given}
        if paged:
            raise Invalid("the query string has errors", errors=paged)

    def _begin(self, media: str) -> None:
        self.set_header("Content-Type", media)
        self.set_header("X-Accel-Buffering", "no")  # else a proxy of nginx's kind takes all it can before the client
        if self.request.version == "HTTP/1.0" and isinstance(self.request.connection, ApiConnection):
            # Without chunks only the connection's end tells where the answer ends.
            self.request.headers["Connection"] = "close"
            self.request.connection._disconnect_on_finish = True

    async def _stream(
        self, writer: RowWriter[Batch], first: Batch | None, batches: AsyncGenerator[Batch, None]
    ) -> None:
        await self._send(writer.head())
        if self.request.method == "HEAD":
            return
        if first is not None:
            await self._send(await asyncio.to_thread(writer.rows, first))
            first = None  # a client may take long over it
        async for batch in batches:
            await self._send(await asyncio.to_thread(writer.rows, batch))
        self.write(writer.end())

    async def _send(self, part: bytes) -> None:
        """Wait until the client took it, near enough: what is left of it is in the kernel's hands."""
        if self._left:
            raise StreamClosedError
        if part or not self._headers_written:
            self.write(part)
            await self.flush()

    def _hang_up(self) -> None:
        connection = self.request.connection
        assert isinstance(connection, ApiConnection)
        connection.close()
