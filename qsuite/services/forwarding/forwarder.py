"""Send a request to the process with the engine, and say what became of it, whatever happens to that process.

    what happened                        then
    answered                             the answer, as it is
    not sent: refused, no lease          wait for another lease, a bounded time; then Unavailable, nothing was done
    answered "not here", "stopping"      the same: nothing was done there
    sent, and no answer                  if asking again can do nothing twice: the same, and ask again; else, and when
                                         the time is over, OutcomeUnknown with the id to ask again with

Asking again is safe once another process has the lease: what the one before had not committed by then never will be.
Invariant: a request is asked again only where the same answer, or an error, is all that can come of it.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import orjson
import structlog

from qsuite.domain.errors import OutcomeUnknown, SetupError, Unavailable
from qsuite.repos.engine_seat import Seat
from qsuite.services.forwarding.lines import Broken, Lines, NotSent, Reply
from qsuite.services.forwarding.proof import HEADER, Forwarded, Proof, Subject
from qsuite.services.forwarding.whereabouts import Whereabouts
from qsuite.settings import ForwardSettings

log = structlog.get_logger(__name__)

AGAIN_S = 0.25
"""The same process is asked again after so long, unless another one has the engine before."""
GRACE_S = 0.25
"""A process that lost the engine may still say so to those who wait."""
NOT_THERE = frozenset({"engine.standby", "stopping"})
UNFINISHED = "idempotency.unfinished"
RETRY_S = 2.0


class Ask(NamedTuple):
    """A request as it is to be sent on, and who sent it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    authorization: str
    address: str
    scheme: str
    order_id: UUID
    again: Callable[[], bool]
    """Says whether asking twice does nothing twice."""
    ids: Callable[[], Mapping[str, Any]]
    """Returns what its outcome is found by."""
    urgent: bool = False
    """It takes risk away, and must not wait behind orders."""
    waits: bool = True
    """Wait while there is no engine; else whoever asks knows better."""


class Mover(Protocol):
    """What holds a connection of its own to the engine's process."""

    def is_at(self, seat: Seat) -> bool:
        """Say whether its connection is to this holder of the lease."""

    def moved(self) -> None:
        """Let go of a process that lost the engine."""


class Forwarder:
    """One of a process. ``elsewhere`` says whether another process has the engine."""

    def __init__(
        self,
        *,
        settings: ForwardSettings,
        whereabouts: Whereabouts,
        proof: Proof,
        elsewhere: Callable[[], bool],
        new_id: Callable[[], UUID],
    ) -> None:
        self.settings = settings
        self.proof = proof
        self.whereabouts = whereabouts
        self.new_id = new_id
        self.counts = {"answered": 0, "again": 0, "unknown": 0, "away": 0}
        """Requests by what became of them; ``again`` counts each time that one was asked again."""
        self.context = _context(settings.ca_file)
        self._elsewhere = elsewhere
        self._lines: tuple[Seat, Lines] | None = None
        self._retiring: set[asyncio.TimerHandle] = set()
        self.channels: set[Mover] = set()
        """Sockets whose commands are sent on."""
        self._seen: Seat | None = None

    @property
    def elsewhere(self) -> bool:
        """Say whether another process has the engine, or none."""
        return self._elsewhere()

    @property
    def in_use(self) -> bool:
        """Say whether somebody may wait for the engine's process."""
        return self._lines is not None or bool(self.channels)

    @property
    def connections(self) -> int:
        """Return how many connections there are to the engine's process."""
        return 0 if self._lines is None else len(self._lines[1])

    async def send(self, ask: Ask) -> Reply:
        """Return the answer. Unavailable: nothing was done. OutcomeUnknown: ask again with the id."""
        head = self._head(ask)
        ends_s = time.monotonic() + (self.settings.takeover_s if ask.waits else 0.0)
        unanswered = False
        while True:
            try:
                reply = await self._ask(head, ask)
            except NotSent as error:
                reason = str(error)
            except Broken as error:
                reason, unanswered = str(error), True
                if not ask.again():
                    raise self._unknown(ask, reason) from None
            else:
                code = _code(reply)
                if unanswered and code == UNFINISHED:
                    raise self._unknown(ask, "the first attempt was cut off")
                if code not in NOT_THERE:
                    self.counts["answered"] += 1
                    return reply
                reason = f"its process answered {code}"
            left_s = ends_s - time.monotonic()
            if left_s <= 0 or self._is_given_up:
                raise self._unknown(ask, reason) if unanswered else self._away(reason)
            await self.whereabouts.change(min(left_s, AGAIN_S))
            self.counts["again"] += 1

    async def stop(self) -> None:
        """Hang up."""
        for handle in self._retiring:
            handle.cancel()
        if self._lines is not None:
            self._lines[1].close()
            self._lines = None

    def head_of_socket(self, path: str, authorization: str, address: str) -> tuple[Seat, dict[str, str]]:
        """Return where a socket of commands is opened now, and the headers that say for whom. NotSent."""
        seat = self._reachable()
        said = Forwarded(address, "http", self.new_id())
        proof = self.proof.make(said, Subject("GET", path, authorization))
        return seat, {"Authorization": authorization, HEADER: proof}

    # -- inside -----------------------------------------------------------------------------------------------------

    async def _ask(self, head: bytes, ask: Ask) -> Reply:
        lines = self._lines_to(self._reachable())
        timeout_s, bodiless = self.settings.timeout_s, ask.method == "HEAD"
        return await lines.ask(head, ask.body, bodiless=bodiless, timeout_s=timeout_s, urgent=ask.urgent)

    def _reachable(self) -> Seat:
        seat = self.whereabouts.seat
        if seat is None or not seat.address:
            raise NotSent("no process has the engine, or it does not say where it is (QSUITE_HTTP__ADVERTISE)")
        return seat

    def _lines_to(self, seat: Seat) -> Lines:
        """Return the connections of the present lease; those of the one before end a moment later."""
        known = self._lines
        if known is not None and known[0].is_same(seat):
            return known[1]
        settings = self.settings
        lines = Lines(
            seat.address,
            most=settings.connections,
            connect_timeout_s=settings.connect_timeout_s,
            context=self.context,
        )
        self._lines = seat, lines
        if known is not None:
            self._later(known[1].close)
        return lines

    def looked(self) -> None:
        """Let go of a process that lost the engine: who waits for its answer would wait for ever if it is frozen."""
        seat, seen = self.whereabouts.seat, self._seen
        self._seen = seat
        if seat is None or not (self._is_given_up or (seen is not None and not seat.is_same(seen))):
            return
        known = self._lines
        if known is not None and (self._is_given_up or not known[0].is_same(seat)):
            self._lines = None
            self._later(known[1].close)
        for channel in self.channels:
            if self._is_given_up or not channel.is_at(seat):
                self._later(channel.moved)

    def _later(self, work: Callable[[], None]) -> None:
        def end() -> None:
            self._retiring.discard(handle)
            work()

        handle = asyncio.get_running_loop().call_later(GRACE_S, end)
        self._retiring.add(handle)

    @property
    def _is_given_up(self) -> bool:
        """Say whether nobody took the engine for so long that nobody is waited for."""
        since_s = self.whereabouts.away_since_s
        return since_s is not None and time.monotonic() - since_s > self.settings.takeover_s

    def _head(self, ask: Ask) -> bytes:
        lines = [f"{ask.method} {ask.target} HTTP/1.1\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in ask.headers]
        lines.append(f"{HEADER}: {self.proof.make(_forwarded(ask), _subject(ask))}\r\n")
        if ask.body or ask.method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(ask.body)}\r\n")
        lines.append("\r\n")
        return "".join(lines).encode("latin-1")

    def _unknown(self, ask: Ask, reason: str) -> OutcomeUnknown:
        self.counts["unknown"] += 1
        ids = ask.ids()
        log.warning("forward.unknown", method=ask.method, path=ask.target.partition("?")[0], reason=reason, **ids)
        return OutcomeUnknown(
            "the engine's process went away before it answered; ask again with the id", retry_after_s=RETRY_S, **ids
        )

    def _away(self, reason: str) -> Unavailable:
        self.counts["away"] += 1
        log.debug("forward.away", reason=reason)
        return Unavailable("no process has the engine at the moment", code="engine.away", retry_after_s=RETRY_S)


def _forwarded(ask: Ask) -> Forwarded:
    return Forwarded(ask.address, ask.scheme, ask.order_id)


def _subject(ask: Ask) -> Subject:
    return Subject(ask.method, ask.target, ask.authorization)


def _code(reply: Reply) -> str:
    """Return the code of a problem that may have to do with where the engine is, "" of every other answer."""
    if reply.status not in (409, 503):
        return ""
    try:
        return str(orjson.loads(reply.body)["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise SetupError(f"forward.ca_file {ca_file}: {error.strerror or error}") from None
