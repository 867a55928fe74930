"""Playing a recording: order, spacing, stopping. The clock is a number that only sleeping moves."""

import asyncio
import os
import termios
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from qsuite.cli.replay_keys import LEFT, RIGHT, press
from qsuite.cli.replay_keys import steered as steered_by_keys
from qsuite.domain.errors import SetupError
from qsuite.domain.market import Bar, Quote, Tick, Trade
from qsuite.domain.times import NS_PER_MS, NS_PER_S
from qsuite.services.files import MarketFile, open_market_file
from qsuite.services.files.as_ticks import bar_trades, file_ticks, sort_by_time
from qsuite.services.replay import BATCH_TICKS, SLICE_NS, Replay
from tests.support.waiting import eventually

D = Decimal
HEADER = "symbol,ts_utc_ms,price,size\n"


class Clock:
    """A monotonic clock in nanoseconds that stands still except while somebody sleeps."""

    def __init__(self) -> None:
        self.now_ns = 7 * NS_PER_S
        self.slept = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    async def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * NS_PER_S)
        self.slept += 1
        await asyncio.sleep(0)


class Consumer:
    """Remember what was published and when."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.batches: list[tuple[int, list[Tick]]] = []

    async def __call__(self, batch: list[Tick]) -> None:
        self.batches.append((self.clock.now_ns, batch))

    @property
    def ticks(self) -> list[Tick]:
        return [tick for _, batch in self.batches for tick in batch]


def trades_file(path: Path, stamps_ms: list[int], symbol: str = "A") -> MarketFile:
    path.write_text(HEADER + "".join(f"{symbol},{ms},{index + 1},1\n" for index, ms in enumerate(stamps_ms)))
    return open_market_file(path)


async def play(files: list[MarketFile], speed: float | None) -> tuple[Consumer, Clock]:
    clock = Clock()
    consumer = Consumer(clock)
    played = await Replay(files, consumer, speed=speed, monotonic_ns=clock.monotonic_ns, sleep=clock.sleep).run()
    assert played.finished
    assert played.ticks == len(consumer.ticks)
    return consumer, clock


@pytest.mark.parametrize("speed", [1.0, 10.0, 0.25])
async def test_a_tick_is_never_early_and_at_most_a_slice_late(tmp_path: Path, speed: float) -> None:
    stamps = [0, 1, 2, 3, 500, 500, 501, 60_000, 60_001, 120_000]
    consumer, clock = await play([trades_file(tmp_path / "a.csv", stamps)], speed)
    started_ns = 7 * NS_PER_S
    assert [tick.ts_ns for tick in consumer.ticks] == [ms * NS_PER_MS for ms in stamps]
    for at_ns, batch in consumer.batches:
        for tick in batch:
            due_ns = started_ns + tick.ts_ns / speed
            assert -1 <= at_ns - due_ns <= SLICE_NS + 1
    assert clock.now_ns - started_ns == 120 * NS_PER_S / speed


async def test_without_a_speed_everything_comes_at_once_in_full_batches(tmp_path: Path) -> None:
    file = trades_file(tmp_path / "a.csv", [day * 86_400_000 for day in range(1_200)])
    for speed in (0, None):
        consumer, clock = await play([file], speed)
        assert clock.slept == 0
        assert [len(batch) for _, batch in consumer.batches] == [BATCH_TICKS, BATCH_TICKS, 200]


async def test_files_are_merged_by_time_and_equal_times_by_the_order_of_the_files(tmp_path: Path) -> None:
    first = trades_file(tmp_path / "a.csv", [1, 5, 9], "A")
    second = trades_file(tmp_path / "b.csv", [0, 5, 9, 10], "B")
    consumer, _ = await play([first, second], None)
    assert [(tick.ts_ns // NS_PER_MS, tick.symbol) for tick in consumer.ticks] == [
        (0, "B"), (1, "A"), (5, "A"), (5, "B"), (9, "A"), (9, "B"), (10, "B"),
    ]  # fmt: skip


async def test_a_file_of_one_symbol_after_the_other_is_played_by_time(tmp_path: Path) -> None:
    path = tmp_path / "both.csv"
    path.write_text(HEADER + "".join(f"{symbol},{ms},1,1\n" for symbol in "AB" for ms in range(300)))
    file = open_market_file(path)
    assert not file.in_time_order
    consumer, _ = await play([file], 1000)
    assert [(tick.ts_ns // NS_PER_MS, tick.symbol) for tick in consumer.ticks] == [
        (ms, symbol) for ms in range(300) for symbol in "AB"
    ]
    # The same when the runs no longer fit in memory and go through temporary files.
    assert list(file_ticks(file, run_ticks=50)) == consumer.ticks


def test_what_goes_through_temporary_files_comes_back_exactly() -> None:
    ticks: list[Tick] = [
        Trade("A", 3, D("1.2300"), D("1E+2"), 4),
        Quote("B", 2, None, D("0.10"), None, D("7"), 1),
        Quote("B", 1, D("5"), None, D("0.000000010"), None),
    ]
    back = list(sort_by_time(ticks, run_ticks=1))
    assert back == ticks[::-1]
    assert [str(back[0].bid_size), str(back[2].price)] == ["1.0E-8", "1.2300"]  # type: ignore[union-attr]


def test_a_bar_is_played_as_four_trades_inside_its_interval_that_share_its_volume() -> None:
    rising = Bar("A", "1m", 0, D(10), D(14), D(9), D(12), D(90))
    trades = bar_trades(rising)
    assert [trade.price for trade in trades] == [D(10), D(9), D(14), D(12)]
    assert [trade.ts_ns for trade in trades] == [0, 20 * NS_PER_S, 40 * NS_PER_S, 60 * NS_PER_S - 1]
    assert [trade.size for trade in trades] == [22, 22, 22, 24]
    falling = bar_trades(rising._replace(close=D(9), volume=D("0.00000003")))
    assert [trade.price for trade in falling] == [D(10), D(14), D(9), D(9)]
    assert sum(trade.size for trade in falling) == D("0.00000003")
    assert all(trade.size > 0 for trade in falling)
    assert [trade.size for trade in bar_trades(rising._replace(volume=D(0)))] == [1] * 4


async def test_quote_bars_are_played_as_their_closing_quotes(tmp_path: Path) -> None:
    path = tmp_path / "eurusd.csv"
    header = "ts_utc_ms,bid_open,bid_high,bid_low,bid_close,ask_open,ask_high,ask_low,ask_close\n"
    path.write_text(header + "0,1,1,1,1,2,2,2,2\n60000,3,3,3,3,4,4,4,4\n")
    consumer, _ = await play([open_market_file(path)], None)
    assert consumer.ticks == [
        Quote("EURUSD", 60 * NS_PER_S - 1, D(1), D(2)),
        Quote("EURUSD", 120 * NS_PER_S - 1, D(3), D(4)),
    ]


async def test_a_slow_consumer_delays_the_play_and_loses_nothing(tmp_path: Path) -> None:
    clock = Clock()
    consumer = Consumer(clock)

    async def slowly(batch: list[Tick]) -> None:
        await consumer(batch)
        clock.now_ns += 10 * NS_PER_S

    file = trades_file(tmp_path / "a.csv", list(range(3_000)))
    await Replay([file], slowly, speed=1, monotonic_ns=clock.monotonic_ns, sleep=clock.sleep).run()
    assert [tick.ts_ns // NS_PER_MS for tick in consumer.ticks] == list(range(3_000))
    # The first tick alone is due at the start; everything is overdue when the consumer comes back.
    assert [len(batch) for _, batch in consumer.batches] == [1, 500, 500, 500, 500, 500, 499]


async def test_stopping_ends_the_play_before_its_next_batch(tmp_path: Path) -> None:
    clock = Clock()
    consumer = Consumer(clock)
    replay: Replay

    async def stop_at_the_third(batch: list[Tick]) -> None:
        await consumer(batch)
        if len(consumer.batches) == 3:
            replay.stop()

    file = trades_file(tmp_path / "a.csv", [index * 1_000 for index in range(50)])
    replay = Replay([file], stop_at_the_third, speed=1, monotonic_ns=clock.monotonic_ns, sleep=clock.sleep)
    played = await replay.run()
    assert (played.ticks, played.finished, played.last_ns) == (3, False, 2 * NS_PER_S)


async def test_stopping_wakes_a_sleeper_and_cancelling_leaves_nothing_behind(tmp_path: Path) -> None:
    file = trades_file(tmp_path / "a.csv", [0, 86_400_000])
    published = asyncio.Event()

    async def publish(batch: list[Tick]) -> None:
        published.set()

    replay = Replay([file], publish, speed=1)
    running = asyncio.ensure_future(replay.run())
    await published.wait()
    replay.stop()
    assert (await running).ticks == 1

    published.clear()
    before = asyncio.all_tasks()
    running = asyncio.ensure_future(Replay([file], publish, speed=1).run())
    await published.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() <= before


async def test_what_a_consumer_raises_ends_the_play(tmp_path: Path) -> None:
    async def refuse(batch: list[Tick]) -> None:
        raise RuntimeError("no room")

    with pytest.raises(RuntimeError, match="no room"):
        await Replay([trades_file(tmp_path / "a.csv", [0, 1])], refuse, speed=None).run()


async def test_bad_rows_are_counted_and_the_first_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "A,1,1,1\n" + "A,1,x,1\n" * 50)
    clock = Clock()
    played = await Replay([open_market_file(path)], Consumer(clock), speed=None).run()
    assert (played.ticks, played.bad_rows, len(played.first_bad)) == (1, 50, 20)


@pytest.mark.parametrize("speed", [-1, float("nan"), float("inf")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    async def publish(batch: list[Tick]) -> None: ...

    with pytest.raises(SetupError, match="speed"):
        Replay([], publish, speed=speed)


class Steered:
    """A replay that is told something when a tick is published: ``at`` maps a tick's millisecond to what to do."""

    def __init__(self, file: MarketFile, at: dict[int, Callable[["Steered"], None]], **how: Any) -> None:
        self.clock = Clock()
        self.came: list[tuple[int, int]] = []
        self.at = at
        self.play = Replay([file], self.take, monotonic_ns=self.clock.monotonic_ns, sleep=self.clock.sleep, **how)

    async def take(self, batch: list[Tick]) -> None:
        for tick in batch:
            stamp = tick.ts_ns // NS_PER_MS
            self.came.append((stamp, (self.clock.now_ns - 7 * NS_PER_S) // NS_PER_MS))
            if (tell := self.at.pop(stamp, None)) is not None:
                tell(self)

    def wait_and(self, seconds: int, tell: Callable[[], None]) -> None:
        """Let real time pass while nothing is played, then say something."""
        self.clock.now_ns += seconds * NS_PER_S
        asyncio.get_running_loop().call_soon(tell)

    async def run(self) -> list[tuple[int, int]]:
        assert (await asyncio.wait_for(self.play.run(), timeout=10)).finished
        return self.came


SECONDS = [0, 1_000, 2_000, 3_000, 4_000]


async def test_a_pause_moves_what_follows_by_its_length(tmp_path: Path) -> None:
    def pause(steered: Steered) -> None:
        steered.play.pause()
        position_ns = steered.play.position_ns
        steered.wait_and(100, steered.play.resume)
        assert steered.play.position_ns == position_ns == 2 * NS_PER_S

    steered = Steered(trades_file(tmp_path / "a.csv", SECONDS), {2_000: pause})
    assert await steered.run() == [(0, 0), (1_000, 1_000), (2_000, 2_000), (3_000, 103_000), (4_000, 104_000)]


async def test_another_speed_holds_from_the_moment_it_is_set(tmp_path: Path) -> None:
    for speed, times in ((2.0, (2_500, 3_000)), (0.1, (12_000, 22_000)), (0, (2_000, 2_000))):
        steered = Steered(trades_file(tmp_path / "a.csv", SECONDS), {2_000: lambda it: it.play.play_at(speed)})  # noqa: B023
        came = await steered.run()
        assert came == [(0, 0), (1_000, 1_000), (2_000, 2_000), (3_000, times[0]), (4_000, times[1])]


async def test_a_replay_at_full_speed_can_be_slowed_down(tmp_path: Path) -> None:
    stamps = [ms * 1_000 for ms in range(BATCH_TICKS + 2)]
    last = stamps[BATCH_TICKS - 1]
    steered = Steered(trades_file(tmp_path / "a.csv", stamps), {last: lambda it: it.play.play_at(1)}, speed=0)
    assert [at for _, at in await steered.run()] == [0] * BATCH_TICKS + [1_000, 2_000]


@pytest.mark.parametrize(
    ("to_ms", "then"),
    [
        (0, [0, 1_000, 2_000, 3_000, 4_000]),
        (1_500, [2_000, 3_000, 4_000]),
        (4_000, [4_000]),
        (9_000, []),
        (-5, SECONDS),
    ],
)
async def test_a_seek_goes_on_with_the_first_tick_of_that_time(tmp_path: Path, to_ms: int, then: list[int]) -> None:
    steered = Steered(trades_file(tmp_path / "a.csv", SECONDS), {2_000: lambda it: it.play.seek(to_ms * NS_PER_MS)})
    came = await steered.run()
    assert [stamp for stamp, _ in came] == [0, 1_000, 2_000, *then]
    # What follows the seek keeps its spacing, from the moment of the seek.
    assert [at - 2_000 for _, at in came[3:]] == [stamp - then[0] for stamp in then]
    assert steered.play.played.ticks == 3 + len(then)


async def test_a_seek_in_a_pause_waits_for_its_end(tmp_path: Path) -> None:
    def seek(steered: Steered) -> None:
        steered.play.pause()
        steered.play.seek(3 * NS_PER_S)
        steered.wait_and(50, steered.play.resume)

    steered = Steered(trades_file(tmp_path / "a.csv", SECONDS), {1_000: seek})
    assert await steered.run() == [(0, 0), (1_000, 1_000), (3_000, 51_000), (4_000, 52_000)]


async def test_a_paused_replay_can_be_stopped(tmp_path: Path) -> None:
    def stop(steered: Steered) -> None:
        steered.play.pause()
        steered.wait_and(1, steered.play.stop)

    steered = Steered(trades_file(tmp_path / "a.csv", SECONDS), {1_000: stop})
    played = await asyncio.wait_for(steered.play.run(), timeout=10)
    assert (played.ticks, played.finished) == (2, False)


async def test_only_what_is_asked_for_is_played(tmp_path: Path) -> None:
    file = trades_file(tmp_path / "a.csv", SECONDS)
    steered = Steered(file, {}, start_ns=1_500 * NS_PER_MS, end_ns=4_000 * NS_PER_MS)
    assert await steered.run() == [(2_000, 0), (3_000, 1_000)]
    assert steered.play.played.first_ns == 2 * NS_PER_S


async def test_keys_of_a_terminal_steer_a_replay_and_leave_the_terminal_as_it_was(tmp_path: Path) -> None:
    person, terminal = os.openpty()
    before = termios.tcgetattr(terminal)
    play = Replay([trades_file(tmp_path / "a.csv", SECONDS)], Consumer(Clock()))
    with steered_by_keys(play, terminal):
        os.write(person, b" +++x-")
        await eventually(lambda: play.paused and play.speed == 4.0)
        os.write(person, b" ")
        await eventually(lambda: not play.paused)
    assert termios.tcgetattr(terminal) == before
    os.close(person)
    os.close(terminal)
    no_terminal, other = os.pipe()
    with steered_by_keys(play, no_terminal):
        pass
    os.close(no_terminal)
    os.close(other)


async def test_arrows_go_a_minute_back_and_forth(tmp_path: Path) -> None:
    minutes = [minute * 60_000 for minute in range(6)]
    forth = Steered(trades_file(tmp_path / "a.csv", minutes), {120_000: lambda it: press(it.play, RIGHT + RIGHT)})
    assert [stamp for stamp, _ in await forth.run()] == [0, 60_000, 120_000, 180_000, 240_000, 300_000]
    back = Steered(trades_file(tmp_path / "b.csv", minutes), {120_000: lambda it: press(it.play, LEFT)})
    assert [stamp for stamp, _ in await back.run()] == [0, 60_000, 120_000, *minutes[1:]]
