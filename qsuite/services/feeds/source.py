"""The wire to a source: one WebSocket to listen to, and requests for messages that it did not bring.

Invariant: every wait is bounded, and whatever goes wrong out there is a ``SourceError`` in here.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import quote

from tornado.httpclient import HTTPError, HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.websocket import WebSocketClientConnection, WebSocketError, websocket_connect

from qsuite.domain.errors import SetupError
from qsuite.domain.feeds.sequence import Range
from qsuite.services.feeds.mapping import FieldMap, Message
from qsuite.services.files.rows import RowError
from qsuite.settings import SourceSettings

FILLS_AT_ONCE = 4
CLOSE_S = 1.0
PLACEHOLDERS = ("{first}", "{last}")


class SourceError(Exception):
    """Say what the source did wrong."""


class Source:
    """One configured source. SetupError for settings that make no sense."""

    def __init__(self, settings: SourceSettings, fields: FieldMap) -> None:
        assert settings.url is not None
        if not settings.url.startswith(("ws://", "wss://")):
            raise SetupError("source.url begins with ws:// or wss://")
        if settings.fill_url is not None and not settings.fill_url.startswith(("http://", "https://")):
            raise SetupError("source.fill_url begins with http:// or https://")
        self._url = settings.url
        self._settings = settings
        self._fields = fields
        self._greetings = _greetings(settings.subscribe)
        self._headers = {} if settings.authorization is None else {"Authorization": settings.authorization}
        self._gate = asyncio.Semaphore(FILLS_AT_ONCE)
        self._fill_url = settings.fill_url
        if self._fill_url is not None and not all(each in self._fill_url for each in PLACEHOLDERS):
            raise SetupError(
                "source.fill_url names {first} and {last}, and {key} where the source has several sequences"
            )

    @property
    def fills(self) -> bool:
        """Say whether missing messages can be asked for."""
        return self._fill_url is not None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[WebSocketClientConnection]:
        """Connect and subscribe."""
        settings = self._settings
        # Both time-outs: one ends when the line stands, the other when the source has answered the upgrade.
        request = HTTPRequest(
            self._url,
            headers=self._headers,
            connect_timeout=settings.handshake_s,
            request_timeout=settings.handshake_s,
        )
        connecting = asyncio.ensure_future(websocket_connect(request, max_message_size=settings.max_message_bytes))
        try:
            connection = await asyncio.shield(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(_close_late)
            raise
        except (OSError, HTTPError, WebSocketError) as error:
            raise SourceError(f"cannot connect: {error}") from None
        try:
            await self._greet(connection)
            yield connection
        finally:
            await _close(connection)

    async def fetch(self, key: str, wanted: Range) -> list[Message]:
        """Ask for messages of one sequence; the source may answer with some of them, or others."""
        assert self._fill_url is not None
        url = self._fill_url.replace("{key}", quote(key, safe=""))
        url = url.replace("{first}", str(wanted.first)).replace("{last}", str(wanted.last))
        timeout_s = self._settings.fill_timeout_s
        request = HTTPRequest(url, headers=self._headers, connect_timeout=timeout_s, request_timeout=timeout_s)
        async with self._gate:
            client = SimpleAsyncHTTPClient(force_instance=True)
            try:
                # Not by raising: of a request given up meanwhile, tornado would log that as an error.
                answer = await client.fetch(request, raise_error=False)
            finally:
                client.close()
        if answer.error is not None:
            raise SourceError(f"no missing messages: {answer.error}")
        try:
            items = self._fields.read_answer(answer.body)
        except RowError as wrong:
            raise SourceError(f"no missing messages: {wrong.reason}") from None
        return [message for message in map(self._read, items) if message is not None]

    async def _greet(self, connection: WebSocketClientConnection) -> None:
        try:
            for greeting in self._greetings:
                await connection.write_message(greeting)
        except (OSError, WebSocketError):
            raise SourceError("closed before it took the subscription") from None

    def _read(self, item: Any) -> Message | None:
        try:
            return self._fields.read(item)
        except RowError:
            return None  # it stays missing, is asked for again, and counts as lost in the end


async def _close(connection: WebSocketClientConnection) -> None:
    """Say goodbye, and read what is still under way: the connection's own task would wait for that for ever."""
    connection.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            while await connection.read_message() is not None:
                pass


def _close_late(connecting: "asyncio.Future[WebSocketClientConnection]") -> None:
    """Close a connection that came about when nobody wanted it any more."""
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().close()


def _greetings(subscribe: str | None) -> list[str]:
    if not subscribe:
        return []
    try:
        value = json.loads(subscribe)
    except ValueError:
        raise SetupError("source.subscribe is not JSON") from None
    return [json.dumps(each) for each in (value if isinstance(value, list) else [value])]
