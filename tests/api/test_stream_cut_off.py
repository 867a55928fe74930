"""When something of an account could not be told, its readers begin again instead of going on with a hole."""

from uuid import UUID

from qsuite.settings import Settings
from tests.support.stream import stream_server
from tests.support.waiting import eventually

ACCOUNT = UUID(int=101)


async def test_a_reader_that_was_cut_off_is_told_of_the_gap_when_it_comes_back(settings: Settings) -> None:
    async with stream_server(settings) as server:
        async with (
            await server.subscribed("anna", "orders") as reader,
            await server.subscribed("vera", "trades:A") as other,
        ):
            server.hub.publish_private(ACCOUNT, "orders", {"type": "order", "version": 1})
            seq = (await reader.receive_type("order"))["seq"]
            server.hub.cut_off()
            assert (await reader.closed()).code == 1013
            assert server.hub.clients == 1
            server.hub.publish("trades:A", {"type": "trade"})
            assert (await other.receive())["type"] == "trade"
        async with await server.client("anna") as reader:
            await reader.send({"action": "subscribe", "channels": ["orders"], "since": {"orders": seq}})
            assert (await reader.receive())["type"] == "subscribed"
            assert (await reader.receive())["type"] == "gap"
            assert (await reader.receive())["type"] == "snapshot"
            server.hub.publish_private(ACCOUNT, "orders", {"type": "order", "version": 9})
            assert (await reader.receive_type("order"))["version"] == 9


async def test_the_accounts_somebody_listens_to_are_known(settings: Settings) -> None:
    async with stream_server(settings) as server:
        assert server.hub.registry.private_owners() == set()
        async with await server.subscribed("anna", "orders"):
            await eventually(lambda: server.hub.registry.private_owners() == {ACCOUNT})
