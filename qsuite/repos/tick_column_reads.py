"""Ticks of a range as columns, wherever they are: what ``TickTiers.iterate`` yields, without an object for any tick.

    blocks ── opened ahead in two threads ── those that overlap sorted together ──┐
                                                                                  ├── merged where they overlap ──> runs
    series ── raw batches (``tick_series_columns``) ──────────────────────────────┘

Blocks that overlap nothing, which is how sealing and import leave them, are handed on as they were decoded.

Invariant: every run holds whole instants and is in order, behind the one before, and each tick is in one run once, at
every moment of sealing and merging: for the reasons ``TickTiers`` gives, and by the same steps. Memory holds the blocks
of one instant and those that are opened ahead.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing

from qsuite.domain.market import QUOTE, TRADE
from qsuite.domain.tick_columns.columns import TickColumns
from qsuite.domain.tick_columns.runs import between, each_once, in_order, joined, only_kind
from qsuite.repos.database import Database
from qsuite.repos.tick_blocks import BlockGone, Span, TickBlocks
from qsuite.repos.tick_queries import TickQuery
from qsuite.repos.tick_series_columns import series_columns
from qsuite.repos.tick_tiers import TickTiers

Runs = Generator[TickColumns, None, None]

THREADS = 2
AHEAD = 2
"""Blocks opened ahead of the one that is worked on."""


class TickColumnReads:
    """Read ticks as columns; for threads."""

    def __init__(self, database: Database, series: str, tiers: TickTiers) -> None:
        self._tiers = tiers
        self._blocks = TickBlocks(database)
        self._database = database
        self._series = series

    def iterate(self, query: TickQuery) -> Runs:
        """Yield a query's ticks in order, in runs that are not empty."""
        while True:
            try:
                with closing(self._iterate(query)) as runs:
                    for run in runs:
                        query = query._replace(start_ns=int(run.ts_ns[-1]) + 1)
                        yield run
                return
            except BlockGone:  # go on behind the instant reached, in the blocks as they are now
                continue

    def _iterate(self, query: TickQuery) -> Runs:
        sealed_to = self._tiers.sealed_to(query.symbol)
        spans = [span for span in self._spans(query) if _holds_kind(span, query.kind)]
        start_ns = sealed_to if query.start_ns is None else max(sealed_to, query.start_ns)
        live = query if start_ns == -(2**63) else query._replace(start_ns=start_ns)
        wants_live = live.end_ns is None or live.start_ns is None or live.end_ns > live.start_ns
        with (
            closing(block_columns(self._blocks, spans, query)) as sealed,
            closing(series_columns(self._database, self._series, live)) as series,
        ):
            if wants_live and any(span.last_ns >= sealed_to for span in spans):
                yield from map(each_once, merged(sealed, series))
                return
            yield from map(each_once, sealed)
            if wants_live:
                yield from map(each_once, series)

    def _spans(self, query: TickQuery) -> list[Span]:
        return self._tiers.spans(query.symbol, query.start_ns, query.end_ns)


def block_columns(blocks: TickBlocks, spans: Sequence[Span], query: TickQuery) -> Runs:
    """Yield the ticks of these blocks, which are sorted by when they begin, in order. BlockGone where one went away."""
    with closing(_opened(blocks, spans)) as found:
        closed, opened = deque(spans), list[TickColumns]()
        while closed or opened:
            # Whatever begins before the first tick to come has to be open to know which tick that is.
            while closed and (not opened or closed[0].first_ns <= min(int(run.ts_ns[0]) for run in opened)):
                closed.popleft()
                run = between(next(found), query.start_ns, query.end_ns)
                opened += [run] if len(run) else []
            limit_ns = closed[0].first_ns if closed else None
            parts = [between(run, None, limit_ns) for run in opened]
            if limit_ns is not None:
                opened = [rest for rest in (between(run, limit_ns, None) for run in opened) if len(rest)]
            else:
                opened = []
            yield from _of_kind(query.kind, [part for part in parts if len(part)])


def merged(first: Runs, second: Runs) -> Runs:
    """Yield the ticks of two streams of runs in order; both part no instant."""
    left, right = next(first, None), next(second, None)
    while left is not None and right is not None:
        end_ns = min(int(left.ts_ns[-1]), int(right.ts_ns[-1])) + 1
        parts = [part for part in (between(left, None, end_ns), between(right, None, end_ns)) if len(part)]
        yield in_order(joined(parts))
        left, right = between(left, end_ns, None), between(right, end_ns, None)
        left = left if len(left) else next(first, None)
        right = right if len(right) else next(second, None)
    for rest, more in ((left, first), (right, second)):
        if rest is not None:
            yield rest
            yield from more


def _of_kind(kind: str | None, parts: list[TickColumns]) -> Iterator[TickColumns]:
    if kind is not None:
        parts = [part for part in (only_kind(part, kind == TRADE) for part in parts) if len(part)]
    if len(parts) == 1:
        yield parts[0]
    elif parts:
        yield in_order(joined(parts))


def _opened(blocks: TickBlocks, spans: Sequence[Span]) -> Runs:
    """Yield the columns of blocks, opened ahead."""
    if len(spans) < THREADS:
        yield from map(blocks.open, spans)
        return
    with ExitStack() as stack:
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="qsuite-block")
        stack.callback(threads.shutdown, wait=True, cancel_futures=True)
        ahead: deque[Future[TickColumns]] = deque()
        for span in spans:
            ahead.append(threads.submit(blocks.open, span))
            if len(ahead) > AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _holds_kind(span: Span, kind: str | None) -> bool:
    return (span.trades > 0 and kind != QUOTE) or (span.quotes > 0 and kind != TRADE)
