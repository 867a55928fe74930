"""Signals for whoever asks: computed from closed bars off the event loop, stored once for each bar, told on the stream.

    symbols ──ClosedBars──> arrays ──worker──> verdicts ──> Signal, stored ──> answer, ``signals:SYM``

A signal that belongs to a strategy is its owner's alone: it says what they are about to trade. It is made by
``strategy_runs`` out of the same verdicts, and never goes out on the public channel.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from qsuite.domain.analytics.algorithms import Unscored, history_of, judge_all
from qsuite.domain.analytics.learning.market_model import MARKET_MODEL
from qsuite.domain.analytics.signals import Verdict, series_of
from qsuite.domain.channels import EVERY_SYMBOL, parse_channel
from qsuite.domain.listing import Listing, Page
from qsuite.domain.market import Bar
from qsuite.domain.money import show
from qsuite.domain.roles import Caller
from qsuite.domain.signals import Signal
from qsuite.domain.times import floor_ms, format_rfc3339
from qsuite.repos.signals import SignalsRepo
from qsuite.services.closed_bars import ClosedBars
from qsuite.services.reference import ReferenceService
from qsuite.services.strategies import require_tickers

READS_AT_ONCE = 2
THREAD_SYMBOLS = 16
"""So few symbols are judged in a thread, sooner than they could be sent to another process."""
SNAPSHOT_SIGNALS = 100
TOLD_KEPT = 20_000

Message = dict[str, Any]


class Missed(NamedTuple):
    """A symbol without a signal, and why."""

    symbol: str
    code: str
    detail: str


class Judged(NamedTuple):
    """The advice for a symbol, at the bar it is for, and the trained model that gave it, if one did."""

    bar: Bar
    verdict: Verdict
    model: UUID | None = None


class Workers(Protocol):
    """What runs a function in another process."""

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return ``function(*args)``."""


class Models(Protocol):
    """What judges by trained models."""

    async def judge(
        self, symbols: Sequence[str], parameters: Mapping[str, Any], interval: str
    ) -> "tuple[list[Judged], list[Missed]]":
        """Return the advice for each symbol at its newest closed bar, and those for which there is none."""


class Publisher(Protocol):
    """What signals need of the stream."""

    def publish(self, channel: str, message: Message) -> None:
        """Send a message to all who listen."""

    def snapshot_source(self, prefix: str, source: Callable[[Caller, str], Awaitable[list[Message]]]) -> None:
        """Register how a channel's snapshot is made."""


class SignalService:
    """Make and show signals."""

    def __init__(
        self,
        *,
        signals: SignalsRepo,
        bars: ClosedBars,
        reference: ReferenceService,
        workers: Workers,
        models: Models,
        stream: Publisher,
        new_id: Callable[[], UUID],
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._signals = signals
        self._bars = bars
        self._reference = reference
        self._workers = workers
        self._models = models
        self._stream = stream
        self._new_id = new_id
        self._clock = clock
        self._gate = asyncio.Semaphore(READS_AT_ONCE)
        self._told: dict[UUID, None] = {}
        stream.snapshot_source("signals", self._snapshot)

    async def generate(
        self, symbols: Sequence[str], algorithm: str, interval: str
    ) -> tuple[list[Signal], list[Missed]]:
        """Return the public signals at each symbol's newest closed bar, made where there is none yet.

        Invalid names symbols that no ticker has.
        """
        require_tickers(self._reference, tuple(symbols))
        judged, missed = await self.judge(symbols, algorithm, {}, interval)
        return [await self.record(each, algorithm) for each in judged], missed

    async def record(self, judged: Judged, algorithm: str) -> Signal:
        """Store a public signal and tell it; return the one that was there, which was told then."""
        signal = self.signal_of(judged, algorithm)
        if not await self._signals.add(signal):
            return await self._signals.find_at(signal) or signal
        self.tell(signal)
        return signal

    def tell(self, signal: Signal) -> None:
        """Tell a public signal to those who listen here, once."""
        if signal.id in self._told:
            return
        self._told[signal.id] = None
        if len(self._told) > TOLD_KEPT:
            del self._told[next(iter(self._told))]
        self._stream.publish(f"signals:{signal.symbol}", signal_message(signal))

    async def judge(
        self, symbols: Sequence[str], algorithm: str, parameters: Mapping[str, Any], interval: str
    ) -> tuple[list[Judged], list[Missed]]:
        """Return the advice for each symbol at its newest closed bar, and those for which there is none.

        Invalid and Conflict for a trained model that is not there or may not be used.
        """
        if algorithm == MARKET_MODEL.name:
            return await self._models.judge(symbols, parameters, interval)
        count = history_of(algorithm, parameters)
        histories = await asyncio.gather(*(self._history(symbol, interval, count) for symbol in symbols))
        many = [series_of(bars) for bars in histories]
        if len(many) <= THREAD_SYMBOLS:
            verdicts = await asyncio.to_thread(judge_all, algorithm, parameters, many)
        else:
            verdicts = await self._workers.run(judge_all, algorithm, dict(parameters), many)
        judged, missed = [], []
        for symbol, bars, verdict in zip(symbols, histories, verdicts, strict=True):
            if isinstance(verdict, Unscored):
                missed.append(Missed(symbol, verdict.code, verdict.detail))
            else:
                judged.append(Judged(bars[-1], verdict))
        return judged, missed

    def signal_of(self, judged: Judged, algorithm: str) -> Signal:
        """Return a new public signal of a verdict."""
        bar, verdict, model = judged
        return Signal(
            id=self._new_id(),
            symbol=bar.symbol,
            interval=bar.interval,
            bar=bar.ts_ns,
            algorithm=algorithm,
            signal=verdict.advice,
            confidence=verdict.confidence,
            features=verdict.features,
            model=model,
            price=bar.close,
            created_at=floor_ms(self._clock()),
        )

    async def page(self, caller: Caller, listing: Listing) -> Page[Signal]:
        """Return a page of the signals the caller may see: public ones, and those of their own strategies."""
        return await self._signals.page(listing, None if caller.reads_all else caller.visible)

    async def _history(self, symbol: str, interval: str, count: int) -> list[Bar]:
        async with self._gate:
            return await self._bars.newest(symbol, interval, count)

    async def _snapshot(self, caller: Caller, channel: str) -> list[Message]:
        symbol = parse_channel(channel).symbol
        if symbol == EVERY_SYMBOL:
            found = await self._signals.newest(None, SNAPSHOT_SIGNALS)
        else:
            found = await self._signals.newest([symbol], 1)
        return [signal_message(signal) for signal in reversed(found)]


def signal_message(signal: Signal) -> Message:
    """Show a signal on the stream."""
    return {"type": "signal", "ts": format_rfc3339(signal.created_at), **show_signal(signal)}


def show_signal(signal: Signal) -> Message:
    """Show a signal. Confidence and features are statistics, so plain numbers."""
    return {
        "id": str(signal.id),
        "symbol": signal.symbol,
        "interval": signal.interval,
        "bar": format_rfc3339(signal.bar),
        "signal": signal.signal.value,
        "confidence": float(signal.confidence),
        "algorithm": signal.algorithm,
        "features": dict(signal.features),
        "model": None if signal.model is None else str(signal.model),
        "price": show(signal.price),
        "created_at": format_rfc3339(signal.created_at),
        "strategy": None if signal.strategy is None else str(signal.strategy),
        "status": signal.status.value,
        "order": None if signal.order is None else str(signal.order),
        "reason": signal.reason,
    }
