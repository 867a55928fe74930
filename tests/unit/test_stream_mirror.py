"""What a gateway makes of another process's messages: snapshots as that process would give them."""

import itertools
import json
from typing import Any
from uuid import UUID

from qsuite.domain.channels import parse_channel
from qsuite.services.stream.channel import LIVES, SEQ_PER_LIFE, first_seq_of_life
from qsuite.services.stream.mirror import Mirror

OWNER = UUID(int=7)


def message(channel: str, seq: int, **fields: Any) -> bytes:
    return json.dumps(fields | {"channel": channel, "seq": seq}).encode()


def depth(full: bool, bids: list[Any], asks: list[Any], ts: str = "t") -> dict[str, Any]:
    return {"type": "depth", "ts": ts, "symbol": "IBM", "full": full, "bids": bids, "asks": asks}


def shown(mirror: Mirror, channel: str) -> list[Any]:
    return mirror.snapshot(parse_channel(channel))


def test_the_newest_price_is_the_snapshot_without_its_number() -> None:
    mirror = Mirror()
    mirror.join((None, "trades:IBM"), 10)
    mirror.show("trades", [{"type": "trade", "symbol": "IBM", "price": "1"}])
    assert shown(mirror, "trades:IBM") == [{"type": "trade", "symbol": "IBM", "price": "1"}]
    mirror.note((None, "trades:IBM"), 11, message("trades:IBM", 11, type="trade", symbol="IBM", price="2"))
    assert shown(mirror, "trades:IBM") == [{"type": "trade", "symbol": "IBM", "price": "2"}]
    assert mirror.seqs[None, "trades:IBM"] == 11


def test_a_wildcard_shows_every_symbol_of_its_kind_alone() -> None:
    mirror = Mirror()
    mirror.join((None, "trades:*"), None)
    for channel in ("trades:B", "trades:A", "quotes:A"):
        mirror.note((None, channel), 1, message(channel, 1, symbol=channel[-1]))
    assert shown(mirror, "trades:*") == [{"symbol": "A"}, {"symbol": "B"}]
    assert shown(mirror, "trades:C") == []


def test_a_bar_that_is_over_is_no_longer_the_bar_so_far() -> None:
    mirror = Mirror()
    name = "bars:1m:IBM"
    mirror.show("bars:1m", [{"symbol": "IBM", "close": "1", "final": False}])
    assert shown(mirror, name) == [{"symbol": "IBM", "close": "1", "final": False}]
    data = b'{"symbol":"IBM","close":"2","final":true,"channel":"bars:1m:IBM","seq":5}'
    mirror.note((None, name), 5, data)
    assert shown(mirror, name) == []


def test_levels_are_changed_taken_away_and_shown_best_first() -> None:
    mirror = Mirror()
    name = "depth:IBM"
    mirror.show("depth", [depth(True, [["9", "5", 1], ["8", "1", 1]], [["10", "2", 1]])])
    changed = depth(False, [["9", "0", 0], ["8.5", "3", 2]], [["10", "7", 3], ["10.5", None, None]], ts="later")
    mirror.note((None, name), 2, message(name, 2, **changed))
    whole = depth(True, [["8.5", "3", 2], ["8", "1", 1]], [["10", "7", 3], ["10.5", None, None]], ts="later")
    assert shown(mirror, name) == [whole]
    assert mirror.depth(name) == whole
    assert mirror.depth("depth:NONE")["bids"] == []


def test_what_is_left_is_followed_no_more_but_for_what_another_name_covers() -> None:
    mirror = Mirror()
    for key in ((None, "trades:*"), (None, "trades:A"), (OWNER, "orders")):
        mirror.join(key, None if "*" in key[1] else 1)
    mirror.seqs[None, "trades:B"] = 1
    mirror.leave((None, "trades:A"))
    assert mirror.follows((None, "trades:A"))
    mirror.leave((None, "trades:*"))
    assert not mirror.follows((None, "trades:B"))
    assert mirror.seqs == {(OWNER, "orders"): 1}
    assert mirror.follows((OWNER, "orders"))
    assert not mirror.follows((UUID(int=8), "orders"))


def test_no_two_of_the_last_lives_share_a_number_and_all_are_exact_in_javascript() -> None:
    starts = [first_seq_of_life(life) for life in range(1, LIVES + 1)]
    assert len(set(starts)) == LIVES
    ordered = sorted(starts)
    assert all(later - earlier >= SEQ_PER_LIFE for earlier, later in itertools.pairwise(ordered))
    assert max(starts) + SEQ_PER_LIFE <= 2**53
