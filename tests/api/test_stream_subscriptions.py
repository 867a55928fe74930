"""Subscriptions: permissions, snapshots, numbers, what was missed, wildcards."""

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from qsuite.domain.errors import Unavailable
from qsuite.domain.roles import Caller
from qsuite.settings import Settings
from tests.support.stream import ANNA, BERT, VERA, stream_server
from tests.support.waiting import eventually
from tests.support.ws import WsClient

ANNAS = ANNA.accounts[0]


def trade(price: int = 1) -> dict[str, Any]:
    return {"type": "trade", "ts": "2026-01-02T14:30:00Z", "price": Decimal(price)}


class Snapshots:
    """A source of snapshots that can be held up, and that notes who asked."""

    def __init__(self, data: Sequence[Mapping[str, Any]] = ()) -> None:
        self.data = data
        self.asked: list[tuple[str, str]] = []
        self.go = asyncio.Event()
        self.go.set()
        self.reading = asyncio.Event()

    async def __call__(self, caller: Caller, channel: str) -> Sequence[Mapping[str, Any]]:
        self.asked.append((caller.username, channel))
        self.reading.set()
        await self.go.wait()
        return self.data


async def subscribe(client: WsClient, *channels: str, **more: Any) -> dict[str, Any]:
    await client.send({"action": "subscribe", "channels": channels, **more})
    return await client.receive()


# -- permissions ----------------------------------------------------------------------------------------------------


async def test_unknown_and_forbidden_channels_are_said_one_by_one(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("vera") as client:
        answer = await subscribe(client, "trades:AAPL", "news:AAPL", "orders", "jobs", id="x")
        assert answer == {"type": "subscribed", "channels": ["trades:AAPL", "jobs"], "id": "x"}
        assert [message["type"] for message in await client.receive_some(2)] == ["snapshot", "snapshot"]
        unknown, forbidden = await client.receive_some(2)
        assert (unknown["code"], unknown["channel"], unknown["id"]) == ("channel.unknown", "news:AAPL", "x")
        assert (forbidden["code"], forbidden["channel"], forbidden["id"]) == ("channel.forbidden", "orders", "x")


async def test_a_traders_key_of_a_lesser_role_sees_no_orders(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna-viewer") as client:
        assert (await subscribe(client, "orders"))["code"] == "channel.forbidden"


async def test_a_symbol_nobody_trades_is_unknown(settings: Settings) -> None:
    known = {"AAPL"}.__contains__
    async with stream_server(settings, known_symbol=known) as server, await server.client("vera") as client:
        assert (await subscribe(client, "trades:AAPL"))["type"] == "subscribed"
        await client.receive()
        assert (await subscribe(client, "trades:NONE"))["code"] == "channel.unknown"
        assert (await subscribe(client, "trades:*"))["type"] == "subscribed"


async def test_there_are_no_more_subscriptions_than_allowed(settings: Settings) -> None:
    async with stream_server(settings, max_subscriptions=2) as server, await server.client("vera") as client:
        answer = await subscribe(client, "trades:A", "trades:A", "trades:B", "trades:C")
        assert answer["channels"] == ["trades:A", "trades:B"]
        await client.receive_some(2)
        assert (await client.receive())["code"] == "channel.too_many"
        assert (await subscribe(client, "trades:D"))["code"] == "channel.too_many"
        await client.send({"action": "unsubscribe", "channels": ["trades:A"]})
        assert await client.receive() == {"type": "unsubscribed", "channels": ["trades:A"]}
        assert (await subscribe(client, "trades:D"))["type"] == "subscribed"


async def test_private_messages_reach_their_owner_and_nobody_else(settings: Settings) -> None:
    async with (
        stream_server(settings) as server,
        await server.subscribed("anna", "orders") as anna,
        await server.subscribed("anna", "executions") as elsewhere,
        await server.subscribed("bert", "orders") as bert,
    ):
        server.hub.publish_private(ANNAS, "orders", {"type": "order", "id": "a"})
        assert (await anna.receive())["id"] == "a"
        assert await bert.synchronise() == []
        assert await elsewhere.synchronise() == []


async def test_jobs_go_to_the_user(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.subscribed("vera", "jobs") as client:
        server.hub.publish_private(VERA.user, "jobs", {"type": "job"})
        assert (await client.receive())["type"] == "job"


async def test_every_account_counts_for_itself(settings: Settings) -> None:
    first, second = BERT.accounts
    async with stream_server(settings) as server, await server.client("bert") as client:
        await subscribe(client, "orders")
        snapshot = await client.receive()
        assert snapshot["seqs"] == {"orders": snapshot["seq"], f"orders:{second}": snapshot["seqs"][f"orders:{second}"]}
        for account in (first, second, second, first):
            server.hub.publish_private(account, "orders", {"type": "order"})
        found = [(message["channel"], message["seq"] - snapshot["seq"]) for message in await client.receive_some(4)]
        assert found == [("orders", 1), (f"orders:{second}", 1), (f"orders:{second}", 2), ("orders", 2)]


# -- numbers --------------------------------------------------------------------------------------------------------


async def test_a_message_is_the_publishers_with_channel_and_number(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("vera") as client:
        await subscribe(client, "trades:AAPL")
        seq = (await client.receive())["seq"]
        for _ in range(3):
            server.hub.publish("trades:AAPL", trade() | {"seq": 99, "channel": "nonsense", "size": Decimal("1E+2")})
        assert await client.receive_some(3) == [
            {
                "type": "trade",
                "channel": "trades:AAPL",
                "seq": seq + number,
                "ts": "2026-01-02T14:30:00Z",
                "price": "1",
                "size": "100",
            }
            for number in (1, 2, 3)
        ]


async def test_a_message_without_a_time_gets_one(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.subscribed("anna", "orders") as client:
        server.hub.publish_private(ANNAS, "orders", {"type": "order", "id": UUID(int=5)})
        message = await client.receive()
        assert (message["ts"], message["id"]) == ("2027-01-15T08:00:00.000Z", str(UUID(int=5)))


async def test_numbers_of_a_later_life_are_above_all_earlier_ones_and_exact_in_javascript(settings: Settings) -> None:
    first: list[int] = []
    for life in range(2):
        async with stream_server(settings) as server, await server.client("vera") as client:
            server.clock.seconds += life
            first.append(await last_seq(client, "trades:A"))
    assert first[1] - first[0] == 2_048_000, "a life of a second may count two million"
    assert first[1] < 2**53


async def test_sockets_with_other_channels_besides_get_the_same_messages(settings: Settings) -> None:
    async with (
        stream_server(settings) as server,
        await server.subscribed("vera", "trades:A", "trades:B") as both,
        await server.subscribed("vera", "trades:B") as one,
        await server.subscribed("anna", "trades:B", "trades:*", "orders") as all_,
    ):
        for name in ("A", "B", "C", "B"):
            server.hub.publish(f"trades:{name}", trade())
        assert [message["channel"][-1] for message in await both.receive_some(3)] == ["A", "B", "B"]
        assert [message["channel"][-1] for message in await one.receive_some(2)] == ["B", "B"]
        assert [message["channel"][-1] for message in await all_.receive_some(4)] == ["A", "B", "C", "B"]
        for client in (both, one, all_):
            assert await client.synchronise() == [], "nothing comes twice"


async def test_one_flush_is_one_frame(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.subscribed("vera", "trades:A") as client:
        before = client.frames
        for _ in range(100):
            server.hub.publish("trades:A", trade())
        await client.receive_some(100)
        assert client.frames == before + 1


# -- snapshots ------------------------------------------------------------------------------------------------------


async def test_a_subscription_starts_with_a_snapshot_read_for_the_caller(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        source = Snapshots([{"symbol": "AAPL", "price": Decimal("150.250")}])
        server.hub.snapshot_source("trades", source)
        await subscribe(client, "trades:AAPL")
        snapshot = await client.receive()
        assert snapshot["type"] == "snapshot"
        assert snapshot["channel"] == "trades:AAPL"
        assert snapshot["data"] == [{"symbol": "AAPL", "price": "150.250"}]
        server.hub.publish("trades:AAPL", trade())
        assert (await client.receive())["seq"] == snapshot["seq"] + 1
        assert source.asked == [("anna", "trades:AAPL")]


async def test_bars_of_every_interval_have_one_source(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        source = Snapshots()
        server.hub.snapshot_source("bars", source)
        await subscribe(client, "bars:1m:IBM", "bars:5m:*")
        await client.receive_some(2)
        assert source.asked == [("anna", "bars:1m:IBM"), ("anna", "bars:5m:*")]


async def test_subscribing_again_changes_nothing(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.subscribed("vera", "trades:A") as client:
        assert await subscribe(client, "trades:A") == {"type": "subscribed", "channels": ["trades:A"]}
        server.hub.publish("trades:A", trade())
        assert [message["type"] for message in await client.synchronise()] == ["trade"]


async def test_what_comes_while_a_snapshot_is_read_follows_it(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.subscribed("anna", "trades:B") as client:
        source = Snapshots([{"order": 1}])
        source.go.clear()
        server.hub.snapshot_source("orders", source)
        server.hub.snapshot_source("trades", source)
        await client.send({"action": "subscribe", "channels": ["orders", "trades:A", "trades:*"]})
        await source.reading.wait()
        for _ in range(3):
            server.hub.publish_private(ANNAS, "orders", {"type": "order"})
            server.hub.publish("trades:A", trade())
            server.hub.publish("trades:NEW", trade())
        subscribed = await client.receive()
        assert subscribed["type"] == "subscribed"
        source.go.set()
        snapshots = {message["channel"]: message for message in await client.receive_some(3)}
        assert {message["type"] for message in snapshots.values()} == {"snapshot"}
        live = await client.receive_some(9)
        for channel, seq in (
            ("orders", snapshots["orders"]["seq"]),
            ("trades:A", snapshots["trades:A"]["seq"]),
            ("trades:NEW", live[-1]["seq"] - 3),
        ):
            found = [message["seq"] for message in live if message["channel"] == channel]
            assert found == [seq + 1, seq + 2, seq + 3]


async def test_channels_subscribed_before_go_on_while_a_snapshot_is_read(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.subscribed("anna", "trades:A", "positions") as client:
        source = Snapshots()
        source.go.clear()
        server.hub.snapshot_source("trades", source)
        await client.send({"action": "subscribe", "channels": ["trades:B"]})
        assert (await client.receive())["type"] == "subscribed"
        server.hub.publish("trades:B", trade())
        server.hub.publish("trades:A", trade())
        server.hub.publish_private(ANNAS, "positions", {"type": "position"})
        assert {message["type"] for message in await client.receive_some(2)} == {"trade", "position"}
        source.go.set()
        assert [message["type"] for message in await client.receive_some(2)] == ["snapshot", "trade"]


@pytest.mark.parametrize("error", [Unavailable("the database is away"), RuntimeError("the secret is swordfish")])
async def test_a_snapshot_that_cannot_be_read_ends_its_subscription_alone(settings: Settings, error: Exception) -> None:
    async def fail(caller: Caller, channel: str) -> Sequence[Mapping[str, Any]]:
        raise error

    async with stream_server(settings) as server, await server.client("anna") as client:
        server.hub.snapshot_source("orders", fail)
        with capture_logs() as lines:
            assert (await subscribe(client, "orders", "trades:A"))["channels"] == ["orders", "trades:A"]
            failed, snapshot, ended = await client.receive_some(3)
        assert [line["event"] for line in lines] == ["stream.snapshot_failed"] * isinstance(error, RuntimeError)
        assert (failed["type"], failed["channel"]) == ("error", "orders")
        assert failed["code"] == ("unavailable" if isinstance(error, Unavailable) else "internal")
        assert "swordfish" not in failed["detail"]
        assert (snapshot["type"], snapshot["channel"]) == ("snapshot", "trades:A")
        assert ended == {"type": "unsubscribed", "channels": ["orders"]}
        server.hub.publish_private(ANNAS, "orders", {"type": "order"})
        assert await client.synchronise() == []


async def test_a_large_snapshot_arrives_whole_whatever_the_bound(settings: Settings) -> None:
    async with (
        stream_server(settings, queue_bytes=1024) as server,
        await server.client("anna", receive_buffer=4096) as client,
    ):
        server.hub.snapshot_source("orders", Snapshots([{"text": "x" * 1_000}] * 3_000))
        await subscribe(client, "orders", "trades:A")
        snapshot = await client.receive()
        assert len(snapshot["data"]) == 3_000
        assert client.fragments > 40, "in pieces, so that a slow line shows that it moves"
        assert (await client.receive())["type"] == "snapshot"


async def test_a_client_that_leaves_while_its_snapshot_is_read_does_no_harm(settings: Settings) -> None:
    async with stream_server(settings) as server:
        source = Snapshots()
        source.go.clear()
        server.hub.snapshot_source("orders", source)
        async with await server.client("anna") as client:
            await client.send({"action": "subscribe", "channels": ["orders"]})
            await source.reading.wait()
            for callback in server.auth.revoked:
                callback(ANNA.user)
        source.go.set()
        async with await server.subscribed("anna", "orders") as client:
            server.hub.publish_private(ANNAS, "orders", {"type": "order"})
            assert (await client.receive())["type"] == "order"


# -- what was missed ------------------------------------------------------------------------------------------------


async def last_seq(client: WsClient, channel: str) -> int:
    await subscribe(client, channel)
    return int((await client.receive())["seq"])


async def test_what_was_missed_is_replayed(settings: Settings) -> None:
    async with stream_server(settings) as server:
        async with await server.client("anna") as client:
            seq, own = await last_seq(client, "trades:A"), await last_seq(client, "orders")
        for _ in range(3):
            server.hub.publish("trades:A", trade())
            server.hub.publish_private(ANNAS, "orders", {"type": "order"})
        async with await server.client("anna") as client:
            since = {"trades:A": seq + 1, "orders": own}
            assert (await subscribe(client, "trades:A", "orders", since=since))["type"] == "subscribed"
            missed = await client.receive_some(5)
            assert [(message["type"], message["seq"]) for message in missed] == [
                ("trade", seq + 2), ("trade", seq + 3), ("order", own + 1), ("order", own + 2), ("order", own + 3),
            ]  # fmt: skip
            server.hub.publish("trades:A", trade())
            assert (await client.receive())["seq"] == seq + 4
            assert await client.synchronise() == []


async def test_who_missed_nothing_gets_nothing(settings: Settings) -> None:
    async with stream_server(settings) as server:
        async with await server.client("vera") as client:
            seq = await last_seq(client, "trades:A")
        async with await server.client("vera") as client:
            await subscribe(client, "trades:A", since={"trades:A": seq})
            assert await client.synchronise() == []


async def test_what_is_not_kept_any_more_is_a_gap_and_a_snapshot(settings: Settings) -> None:
    async with stream_server(settings, kept_messages=2) as server:
        async with await server.client("vera") as client:
            seq = await last_seq(client, "trades:A")
        for _ in range(3):
            server.hub.publish("trades:A", trade())
        async with await server.client("vera") as client:
            await subscribe(client, "trades:A", since={"trades:A": seq})
            gap, snapshot = await client.receive_some(2)
            assert gap == {"type": "gap", "channel": "trades:A", "since": seq, "seq": seq + 3}
            assert (snapshot["type"], snapshot["seq"]) == ("snapshot", seq + 3)
        async with await server.client("vera") as client:
            await subscribe(client, "trades:A", since={"trades:A": seq + 1})
            assert [message["seq"] for message in await client.receive_some(2)] == [seq + 2, seq + 3]


async def test_a_number_of_an_earlier_life_is_a_gap_and_a_snapshot(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("vera") as client:
        seq = await last_seq(client, "trades:A")
        server.hub.publish("trades:A", trade())
    async with stream_server(settings) as server:
        server.clock.seconds += 60
        async with await server.client("vera") as client:
            await subscribe(client, "trades:A", "trades:B", since={"trades:A": seq + 1, "trades:B": 7})
            kinds = [(message["type"], message["channel"]) for message in await client.receive_some(4)]
            assert kinds == [
                ("gap", "trades:A"), ("snapshot", "trades:A"), ("gap", "trades:B"), ("snapshot", "trades:B"),
            ]  # fmt: skip


@pytest.mark.parametrize("ahead", [1, 2**40])
async def test_a_number_not_yet_given_out_is_a_gap_and_a_snapshot(settings: Settings, ahead: int) -> None:
    async with stream_server(settings) as server:
        async with await server.client("vera") as client:
            seq = await last_seq(client, "trades:A")
        async with await server.client("vera") as client:
            await subscribe(client, "trades:A", since={"trades:A": seq + ahead})
            assert [message["type"] for message in await client.receive_some(2)] == ["gap", "snapshot"]


async def test_a_channel_nobody_came_back_to_is_forgotten_and_counts_on_above(settings: Settings) -> None:
    async with stream_server(settings) as server:
        async with await server.client("anna") as client:
            seq, own = await last_seq(client, "trades:A"), await last_seq(client, "orders")
        await eventually(lambda: server.hub.clients == 0)
        await server.round()
        await server.round(after_s=200)
        assert server.hub.wanted("trades:A"), "kept for who comes back soon"
        await server.round(after_s=200)
        assert not server.hub.wanted("trades:A")
        assert server.hub.registry.private(ANNAS, "orders") is None
        async with await server.client("anna") as client:
            await subscribe(client, "trades:A", "orders", since={"trades:A": seq, "orders": own})
            kinds = [message["type"] for message in await client.receive_some(4)]
            assert kinds == ["gap", "snapshot", "gap", "snapshot"]


async def test_a_channel_that_is_listened_to_again_is_kept(settings: Settings) -> None:
    async with stream_server(settings) as server:
        async with await server.client("vera") as client:
            await last_seq(client, "trades:A")
        await eventually(lambda: server.hub.clients == 0)
        await server.round()
        async with await server.client("vera") as client:
            await last_seq(client, "trades:A")
            await server.round(after_s=1_000)
            assert server.hub.wanted("trades:A")


async def test_memory_kept_for_who_comes_back_is_bounded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qsuite.services.stream.registry.KEPT_BYTES_MAX", 100_000)
    async with stream_server(settings) as server, await server.subscribed("vera", "trades:A") as client:
        for _ in range(500):
            server.hub.publish("trades:A", trade())
        channel = server.hub.registry.public("trades:A")
        assert channel is not None
        assert channel.kept_bytes > 100_000
        await server.round()
        assert 0 < channel.kept_bytes < 100_000
        assert channel.after(channel.seq - 250) is not None
        assert channel.after(channel.seq - 251) is None
        await client.receive_some(500)


# -- wildcards ------------------------------------------------------------------------------------------------------


async def test_a_wildcard_hears_every_symbol_under_its_own_channel_and_number(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.subscribed("vera", "trades:A") as other:
        server.hub.publish("trades:A", trade())
        known = (await other.receive())["seq"]
        async with await server.client("vera") as client:
            await subscribe(client, "trades:*")
            snapshot = await client.receive()
            assert (snapshot["channel"], snapshot["seq"], snapshot["seqs"]) == ("trades:*", None, {"trades:A": known})
            server.hub.publish("trades:A", trade())
            server.hub.publish("trades:B", trade())
            server.hub.publish("quotes:A", {"type": "quote"})
            first, second = await client.receive_some(2)
            assert (first["channel"], first["seq"]) == ("trades:A", known + 1)
            assert second["channel"] == "trades:B"
            assert await client.synchronise() == []


async def test_a_wildcard_resumes_every_symbol_it_names(settings: Settings) -> None:
    async with stream_server(settings) as server:
        source = Snapshots()
        server.hub.snapshot_source("trades", source)
        async with await server.client("vera") as client:
            await subscribe(client, "trades:*")
            await client.receive()
            for name in "ABAB":
                server.hub.publish(f"trades:{name}", trade())
            seqs = {message["channel"]: message["seq"] for message in (await client.receive_some(4))[:2]}
        source.asked.clear()
        async with await server.client("vera") as client:
            await subscribe(client, "trades:*", since=seqs)
            missed = await client.synchronise()
            assert {message["channel"]: message["seq"] for message in missed} == {
                channel: seq + 1 for channel, seq in seqs.items()
            }
            assert source.asked == [], "nothing is missing, so no snapshot"


async def test_a_wildcard_that_cannot_resume_all_gets_gaps_and_a_snapshot(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("vera") as client:
        since = {"trades:OLD": 7, "quotes:OLD": 7, "nonsense": 7, "orders": 7, "trades:*": 7}
        await subscribe(client, "trades:*", since=since)
        gap, snapshot = await client.receive_some(2)
        assert (gap["type"], gap["channel"]) == ("gap", "trades:OLD")
        assert (snapshot["type"], snapshot["seqs"]) == ("snapshot", {"trades:OLD": gap["seq"]})


async def test_a_client_cannot_make_up_symbols_to_be_kept(settings: Settings) -> None:
    known = {"A"}.__contains__
    async with stream_server(settings, known_symbol=known) as server, await server.client("vera") as client:
        await subscribe(client, "trades:*", since={f"trades:X{number}": 1 for number in range(100)} | {"trades:A": 1})
        gap, snapshot = await client.receive_some(2)
        assert gap["channel"] == "trades:A"
        assert list(snapshot["seqs"]) == ["trades:A"]


# -- leaving --------------------------------------------------------------------------------------------------------


async def test_unsubscribing_ends_exactly_those_channels(settings: Settings) -> None:
    async with (
        stream_server(settings) as server,
        await server.subscribed("anna", "trades:A", "trades:B", "orders", "positions") as client,
    ):
        server.hub.publish("trades:A", trade())  # may come before the answer, not after it
        await client.send({"action": "unsubscribe", "channels": ["trades:A", "orders", "quotes:A", "nonsense"]})
        ended = await client.receive_type("unsubscribed")
        assert ended == {"type": "unsubscribed", "channels": ["trades:A", "orders"]}
        server.hub.publish("trades:A", trade())
        server.hub.publish("trades:B", trade())
        server.hub.publish_private(ANNAS, "orders", {"type": "order"})
        server.hub.publish_private(ANNAS, "positions", {"type": "position"})
        assert {message["channel"] for message in await client.synchronise()} == {"trades:B", "positions"}


async def test_leaving_a_symbol_leaves_the_wildcard_alone_and_the_other_way_round(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.subscribed("vera", "trades:A", "trades:*") as client:
        await client.send({"action": "unsubscribe", "channels": ["trades:A"]})
        await client.receive()
        server.hub.publish("trades:A", trade())
        assert (await client.receive())["channel"] == "trades:A"
        assert (await subscribe(client, "trades:A"))["type"] == "subscribed"
        await client.receive()
        await client.send({"action": "unsubscribe", "channels": ["trades:*"]})
        await client.receive()
        server.hub.publish("trades:A", trade())
        server.hub.publish("trades:B", trade())
        assert [message["channel"] for message in await client.synchronise()] == ["trades:A"]


async def test_who_comes_back_to_a_channel_goes_on_where_it_is(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("vera") as client:
        seq = await last_seq(client, "trades:A")
        await client.send({"action": "unsubscribe", "channels": ["trades:A"]})
        await client.receive()
        server.hub.publish("trades:A", trade())
        assert await last_seq(client, "trades:A") == seq + 1
        server.hub.publish("trades:A", trade())
        assert (await client.receive())["seq"] == seq + 2
