"""What one socket has not taken yet: order, room, conflation."""

import json
from typing import Any

from qsuite.services.stream.channel import Channel
from qsuite.services.stream.counters import Counters
from qsuite.services.stream.messages import FRAME_BYTES, Batch
from qsuite.services.stream.outbox import Asked, Outbox
from tests.support.frames import messages_of


def channel(name: str = "trades:A", *, seq: int = 0) -> Channel:
    return Channel(name, wild="trades:*", seq=seq, kept_messages=10)


def batch(*channels: Channel) -> Batch:
    """Publish a message on each and settle them, as the groups do."""
    entries = [one.append({"type": "trade"}) for one in channels]
    for entry in entries:
        entry.channel.settled = entry
    return Batch(entries)


def taken(outbox: Outbox) -> list[dict[str, Any]]:
    return messages_of(iter(outbox.take, None))


def test_what_fits_is_taken_in_the_order_it_came() -> None:
    outbox, a, b = Outbox(10_000, Counters()), channel("trades:A"), channel("trades:B")
    outbox.add_batch(batch(a, b))
    outbox.add(b'{"type":"pong"}')
    outbox.add_batch(batch(a))
    assert [(message.get("channel"), message.get("seq")) for message in taken(outbox)] == [
        ("trades:A", 1), ("trades:B", 1), (None, None), ("trades:A", 2),
    ]  # fmt: skip
    assert outbox.empty
    assert outbox.unsent == 0


def test_a_batch_alone_leaves_as_the_frame_all_sockets_share() -> None:
    outbox, shared = Outbox(10_000, Counters()), batch(channel())
    outbox.add_batch(shared)
    assert outbox.take() is shared.frame


def test_prices_without_room_become_the_newest_of_each_channel_and_say_how_many() -> None:
    counters = Counters()
    outbox, a, b = Outbox(200, counters), channel("trades:A"), channel("trades:B")
    for _ in range(10):
        outbox.add_batch(batch(a))
    outbox.add_batch(batch(b))
    found = {message["channel"]: message for message in taken(outbox)}
    assert found["trades:A"]["seq"] == 10
    assert found["trades:A"]["conflated"] == 9
    assert "conflated" not in found["trades:B"], "one message replaced nothing"
    assert (counters.conflated, counters.delivered) == (9, 2)


def test_after_the_newest_the_next_follow_one_by_one() -> None:
    outbox, a = Outbox(200, Counters()), channel()
    for _ in range(10):
        outbox.add_batch(batch(a))
    assert [message["seq"] for message in taken(outbox)] == [10]
    outbox.add_batch(batch(a))
    outbox.add_batch(batch(a))
    assert [message["seq"] for message in taken(outbox)] == [11, 12]


def test_what_must_arrive_makes_prices_give_way_and_is_all_there() -> None:
    outbox, a = Outbox(300, Counters()), channel()
    outbox.add_batch(batch(a))
    outbox.add_batch(batch(a))
    for number in range(20):
        outbox.add(json.dumps({"type": "order", "number": number}).encode())
    found = taken(outbox)
    assert [message["number"] for message in found if message["type"] == "order"] == list(range(20))
    assert [(message["seq"], message["conflated"]) for message in found if message["type"] == "trade"] == [(2, 1)]


def test_prices_never_make_it_exceed_its_limit_only_what_must_arrive_does() -> None:
    outbox, a = Outbox(300, Counters()), channel()
    for _ in range(100):
        outbox.add_batch(batch(a))
    assert not outbox.exceeds(1)
    outbox.add(b"x" * 601)
    assert outbox.exceeds(2)
    assert not outbox.exceeds(3)


def test_a_snapshot_that_was_asked_for_counts_against_no_limit() -> None:
    outbox = Outbox(300, Counters())
    outbox.add(Asked(b"x" * 1_000))
    outbox.add(b"y")
    assert not outbox.exceeds(1)
    assert outbox.unsent == 1_001
    assert outbox.take() is not None
    assert outbox.unsent == 0


def test_a_large_message_leaves_in_fragments_that_nothing_comes_between() -> None:
    outbox = Outbox(10_000_000, Counters())
    text = "x" * (5 * FRAME_BYTES)
    outbox.add(json.dumps({"text": text}).encode())
    outbox.add(b'{"type":"pong"}')
    frames = list(iter(outbox.take, None))
    assert len(frames) > 5
    assert max(map(len, frames)) <= FRAME_BYTES + 10
    assert messages_of(frames) == [{"text": text}, {"type": "pong"}]
    assert outbox.unsent == 0


def test_what_was_held_back_comes_after_what_is_there() -> None:
    outbox, hold, a = Outbox(10_000, Counters()), Outbox(10_000, Counters()), channel()
    hold.add_batch(batch(a))
    outbox.add(b'{"type":"snapshot"}')
    hold.add(b'{"type":"order"}')
    outbox.absorb(hold)
    assert [message["type"] for message in taken(outbox)] == ["snapshot", "trade", "order"]


def test_what_was_held_back_and_conflated_stays_so() -> None:
    outbox, hold, a = Outbox(10_000, Counters()), Outbox(200, Counters()), channel()
    for _ in range(10):
        hold.add_batch(batch(a))
    outbox.absorb(hold)
    outbox.add_batch(batch(a))
    assert [(message["seq"], message["conflated"]) for message in taken(outbox)] == [(11, 10)]


def test_prices_of_channels_left_are_dropped_and_no_other() -> None:
    outbox, a, b = Outbox(10_000, Counters()), channel("trades:A"), channel("trades:B")
    outbox.add_batch(batch(a, b))
    outbox.add(b'{"type":"pong"}')
    outbox.forget(lambda one: one is b)
    assert [message.get("channel") for message in taken(outbox)] == ["trades:B", None]
    full = Outbox(1, Counters())
    full.add(b'{"type":"pong"}')
    full.add_batch(batch(a, b))
    full.forget(lambda one: one is b)
    assert [message.get("channel") for message in taken(full)] == [None, "trades:B"]
