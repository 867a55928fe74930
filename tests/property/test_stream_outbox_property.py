"""For every order of messages and reading: nothing lost that must arrive, prices in order, every skip accounted for."""

import json
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from qsuite.services.stream.channel import Channel
from qsuite.services.stream.counters import Counters
from qsuite.services.stream.messages import Batch
from qsuite.services.stream.outbox import Outbox
from tests.support.frames import messages_of

LIMIT = 150
ONE_BATCH = 5 * 50  # what one draw below can hold
prices = st.lists(st.integers(0, 3), min_size=1, max_size=5).map(lambda channels: ("prices", channels))
steps = st.one_of(prices, st.just(("must", [])), st.just(("take", [])), st.just(("hold", [])), st.just(("release", [])))


@given(st.lists(steps, max_size=120))
def test_every_message_arrives_or_is_counted_in_one_that_does(story: list[tuple[str, list[int]]]) -> None:
    counters = Counters()
    channels = [Channel(f"trades:{name}", wild="trades:*", seq=0, kept_messages=0) for name in "ABCD"]
    outbox, hold = Outbox(LIMIT, counters), None
    frames: list[bytes] = []
    must = 0
    for step, names in story:
        target = outbox if hold is None else hold
        if step == "prices":
            entries = [channels[name].append({"type": "trade"}) for name in names]
            for entry in entries:
                entry.channel.settled = entry
            target.add_batch(Batch(entries))
        elif step == "must":
            must += 1
            target.add(json.dumps({"type": "order", "number": must}).encode())
        elif step == "take":
            frames += filter(None, [outbox.take(newest=hold is None)])
        elif step == "hold" and hold is None:
            hold = Outbox(LIMIT, counters)
        elif step == "release" and hold is not None:
            outbox.absorb(hold)
            hold = None
        assert outbox.unsent <= max(LIMIT, ONE_BATCH) or outbox.exceeds(1)
    if hold is not None:
        outbox.absorb(hold)
    messages = messages_of([*frames, *iter(outbox.take, None)])

    assert [message["number"] for message in messages if message["type"] == "order"] == list(range(1, must + 1))
    seen: dict[str, int] = defaultdict(int)
    for message in messages:
        if message["type"] == "trade":
            assert message["seq"] == seen[message["channel"]] + 1 + message.get("conflated", 0)
            seen[message["channel"]] = message["seq"]
    assert all(seen[channel.name] == channel.seq for channel in channels), "the newest of each always arrives"
    assert counters.conflated + counters.delivered == must + sum(channel.seq for channel in channels)
    assert outbox.unsent == 0
