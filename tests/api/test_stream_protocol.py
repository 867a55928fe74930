"""The WebSocket's manners: opening, authenticating, asking, bad messages, closing."""

from dataclasses import replace
from typing import Any

import pytest

from qsuite.domain.roles import Role
from qsuite.settings import Settings
from tests.support.stream import ANNA, VERA, stream_server
from tests.support.waiting import eventually
from tests.support.ws import BINARY, CLOSE, PING, Closed, Refused, WsClient

# -- opening --------------------------------------------------------------------------------------------------------


async def test_a_token_in_the_header_authenticates_at_once(settings: Settings) -> None:
    async with stream_server(settings) as server, await WsClient.open(server.port, token="anna") as client:
        assert "content-length" not in client.headers, "a 101 has no body (RFC 9110, 8.6)"
        welcome, authenticated = await client.receive_some(2)
        assert welcome["type"] == "welcome"
        assert welcome["heartbeat_s"] == settings.stream.heartbeat_s
        assert authenticated["type"] == "authenticated"
        assert authenticated["username"] == "anna"
        assert authenticated["accounts"] == [str(ANNA.accounts[0])]


async def test_a_token_in_the_first_message_authenticates_too(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client() as client:
        answer = await client.ask({"action": "auth", "token": "vera", "id": 1})
        who = {"user": str(VERA.user), "username": "vera", "role": "viewer", "accounts": []}
        assert answer == {"type": "authenticated", "id": 1, **who}


async def test_a_bad_token_in_the_header_is_refused_before_the_upgrade(settings: Settings) -> None:
    async with stream_server(settings) as server:
        with pytest.raises(Refused) as refused:
            await WsClient.open(server.port, token="nobody")
        assert refused.value.status == 401
        assert refused.value.problem["code"] == "unauthenticated"
        assert refused.value.headers["www-authenticate"].startswith("Bearer")
        assert server.hub.clients == 0


async def test_a_token_in_the_address_is_refused(settings: Settings) -> None:
    async with stream_server(settings) as server:
        with pytest.raises(Refused) as refused:
            await WsClient.open(server.port, path="/ws/v1/stream?token=anna")
        assert refused.value.status == 422


@pytest.mark.parametrize(
    "missing", ["Upgrade", "Sec-WebSocket-Version", "Sec-WebSocket-Key"], ids=lambda name: name.lower()
)
async def test_what_is_no_websocket_is_told_to_be_one(settings: Settings, missing: str) -> None:
    async with stream_server(settings) as server:
        with pytest.raises(Refused) as refused:
            await WsClient.open(server.port, headers={missing: ""})
        assert refused.value.status == 426
        assert refused.value.problem["code"] == "upgrade_required"
        assert refused.value.headers["upgrade"] == "websocket"
        assert refused.value.headers["x-request-id"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1.evil.example"]
)
async def test_a_page_of_another_site_is_refused(settings: Settings, origin: str) -> None:
    async with stream_server(settings) as server:
        with pytest.raises(Refused) as refused:
            await WsClient.open(server.port, headers={"Origin": origin})
        assert refused.value.status == 403
        assert refused.value.problem["code"] == "origin.forbidden"


async def test_our_own_pages_and_configured_sites_may_connect(settings: Settings) -> None:
    http = replace(settings.http, cors_origins=("https://desk.example",))
    async with stream_server(replace(settings, http=http)) as server:
        for origin in (f"http://127.0.0.1:{server.port}", "https://desk.example"):
            async with await server.client(headers={"Origin": origin}) as client:
                assert (await client.ask({"action": "ping", "id": 1}))["type"] == "pong"
        with pytest.raises(Refused):
            await WsClient.open(server.port, headers={"Origin": "https://desk.example.evil"})


async def test_there_are_no_more_sockets_than_allowed(settings: Settings) -> None:
    async with stream_server(settings, max_sockets=1) as server, await server.client() as client:
        with pytest.raises(Refused) as refused:
            await WsClient.open(server.port)
        assert refused.value.status == 503
        assert refused.value.headers["retry-after"] == "5"
        await client.abort()
        await eventually(lambda: server.hub.clients == 0)
        await (await server.client()).abort()


# -- asking ---------------------------------------------------------------------------------------------------------


async def test_answers_carry_the_id_of_the_question(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        for given in ("a", 7, -1, ""):
            assert await client.ask({"action": "ping", "id": given}) == {"type": "pong", "id": given}
        await client.send({"action": "ping"})
        assert await client.receive() == {"type": "pong"}


async def test_several_messages_may_come_in_one_frame(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client() as client:
        await client.send(
            [{"action": "ping", "id": 1}, {"action": "auth", "token": "anna"}, {"action": "ping", "id": 2}]
        )
        kinds = [message["type"] for message in await client.receive_some(3)]
        assert kinds == ["pong", "authenticated", "pong"]


async def test_control_frames_are_answered(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client() as client:
        await client.send_text(b"here?", PING)
        assert await client.receive() == {"type": "(pong)", "payload": b"here?"}


@pytest.mark.parametrize(
    "message",
    [
        {"action": "subscribe", "channels": ["trades:AAPL"], "id": 1},
        {"action": "unsubscribe", "channels": ["trades:AAPL"], "id": 1},
        {"action": "order", "order": {}, "id": 1},
        {"action": "cancel", "order_id": "x", "id": 1},
    ],
    ids=lambda message: str(message["action"]),
)
async def test_nothing_is_done_for_who_did_not_authenticate(settings: Settings, message: dict[str, Any]) -> None:
    async with stream_server(settings) as server, await server.client() as client:
        answer = await client.ask(message)
        assert (answer["type"], answer["code"]) == ("error", "unauthenticated")


async def test_a_bad_token_in_a_message_is_an_error(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client() as client:
        assert (await client.ask({"action": "auth", "token": "nobody", "id": 1}))["code"] == "unauthenticated"
        assert (await client.ask({"action": "auth", "token": 7, "id": 2}))["code"] == "validation"
        assert (await client.ask({"action": "auth", "id": 3}))["errors"] == {"token": ["a string"]}
        assert (await client.ask({"action": "auth", "token": "anna", "id": 4}))["type"] == "authenticated"


async def test_a_socket_stays_with_its_user_and_role(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        assert (await client.ask({"action": "auth", "token": "bert", "id": 1}))["code"] == "forbidden"
        assert (await client.ask({"action": "auth", "token": "anna-viewer", "id": 2}))["code"] == "forbidden"
        assert (await client.ask({"action": "auth", "token": "anna", "id": 3}))["type"] == "authenticated"


# -- bad messages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "malformed"),
        ("{", "malformed"),
        ("nonsense", "malformed"),
        ('{"action": "ping", "n": NaN}', "malformed"),
        ('{"action": "ping", "n": 1e999999999}', "action"),
        ('{"action": "ping", "action": "auth"}', "malformed"),
        ("[" * 20_000, "malformed"),
        ('{"a":' * 70 + "1" + "}" * 70, "malformed"),
        ('{"action": "ping", "n": ' + "9" * 5_000 + "}", "malformed"),
        ("7", "malformed"),
        ('"ping"', "malformed"),
        ("null", "malformed"),
        ("[[]]", "malformed"),
        ("{}", "action.unknown"),
        ('{"action": "PING"}', "action.unknown"),
        ('{"action": ["ping"]}', "action.unknown"),
        ('{"action": {"ping": 1}}', "action.unknown"),
        ('{"action": "ping", "id": "\\ud800"}', "validation"),
        ('{"action": "\\u0000"}', "validation"),
        ('{"action": "ping", "id": null}', "validation"),
        ('{"action": "ping", "id": true}', "validation"),
        ('{"action": "ping", "id": 1.5}', "validation"),
        ('{"action": "ping", "id": [1]}', "validation"),
        ('{"action": "ping", "id": 9007199254740993}', "validation"),
        ('{"action": "ping", "id": "' + "x" * 129 + '"}', "validation"),
        ('{"action": "subscribe"}', "validation"),
        ('{"action": "subscribe", "channels": "trades:AAPL"}', "validation"),
        ('{"action": "subscribe", "channels": []}', "validation"),
        ('{"action": "subscribe", "channels": [7]}', "validation"),
        ('{"action": "subscribe", "channels": ["trades:A"], "since": 7}', "validation"),
        ('{"action": "subscribe", "channels": ["trades:A"], "since": {"trades:A": -1}}', "validation"),
        ('{"action": "subscribe", "channels": ["trades:A"], "since": {"trades:A": true}}', "validation"),
        ('{"action": "subscribe", "channels": ["trades:A"], "since": {"trades:A": 1.0}}', "validation"),
        ('{"action": "subscribe", "channels": ["trades:A"], "since": {"trades:A": 9007199254740993}}', "validation"),
        ('{"action": "unsubscribe", "channels": {}}', "validation"),
        ('{"action": "cancel", "id": 1, "order_id": 7}', "validation"),
        ('{"action": "cancel", "order_id": "x"}', "validation"),
        ('{"action": "order", "order": {}}', "validation"),
    ],
)  # fmt: skip
async def test_a_bad_message_gets_an_error_and_the_socket_lives(settings: Settings, text: str, code: str) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        await client.send_text(text)
        answer = await client.receive()
        if code == "action":  # a Decimal too large for anything but ignored here
            assert answer == {"type": "pong"}
        else:
            assert (answer["type"], answer["code"]) == ("error", code)
            assert answer["detail"]
        assert (await client.ask({"action": "ping", "id": 1}))["type"] == "pong"


async def test_an_unknown_action_is_told_which_there_are(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        answer = await client.ask({"action": "place", "id": 1})
        assert answer["code"] == "action.unknown"
        assert "subscribe, unsubscribe, ping, order, cancel" in answer["detail"]


async def test_a_binary_frame_and_broken_utf8_do_no_harm(settings: Settings) -> None:
    async with stream_server(settings) as server:
        async with await server.client() as client:
            await client.send_text(b'{"action": "ping"}', BINARY)
            assert (await client.receive())["code"] == "malformed"
        async with await server.client() as client:
            await client.send_text(b'{"action": "\xff"}')
            assert (await client.closed()).code == 1007, "RFC 6455, 8.1: the connection fails"


async def test_too_many_bad_messages_close_the_socket(settings: Settings) -> None:
    async with stream_server(settings, max_bad_messages=3) as server, await server.client("anna") as client:
        for _ in range(3):
            await client.send_text("nonsense")
        errors = await client.receive_some(3)
        assert [error["code"] for error in errors] == ["malformed"] * 3, "the last one is answered too"
        closed = await client.closed()
        assert (closed.code, closed.reason) == (1008, "bad_messages")
        assert server.hub.counters.closed == {"bad_messages": 1}
        assert server.hub.counters.bad_messages == 3


@pytest.mark.parametrize("size", [65_537, 70_000, 1_000_000])
async def test_a_message_too_large_closes_the_socket(settings: Settings, size: int) -> None:
    async with stream_server(settings) as server, await server.client() as client:
        await client.send_text('{"action": "ping", "x": "' + "x" * (size - 27) + '"}')
        assert (await client.closed()).code == 1009


async def test_a_message_of_the_largest_size_is_read(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client() as client:
        text = '{"action": "ping", "x": "' + "x" * (65_536 - 27) + '"}'
        assert len(text) == 65_536
        await client.send_text(text)
        assert await client.receive() == {"type": "pong"}


# -- closing --------------------------------------------------------------------------------------------------------


async def test_who_does_not_authenticate_in_time_is_closed(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client() as late, await server.client("anna") as known:
        await server.round(after_s=settings.stream.auth_timeout_s - 1)
        assert server.hub.clients == 2
        await server.round(after_s=2)
        closed = await late.closed()
        assert (closed.code, closed.reason) == (1008, "auth_timeout")
        assert (await known.ask({"action": "ping", "id": 1}))["type"] == "pong"


async def test_all_sockets_of_a_user_close_when_their_access_ends(settings: Settings) -> None:
    async with (
        stream_server(settings) as server,
        await server.client("anna") as first,
        await server.subscribed("anna", "orders") as second,
        await server.client("bert") as other,
    ):
        for callback in server.auth.revoked:
            callback(ANNA.user)
        for client in (first, second):
            closed = await client.closed()
            assert (closed.code, closed.reason) == (1008, "revoked")
        assert (await other.ask({"action": "ping", "id": 1}))["type"] == "pong"
        assert server.hub.clients == 1


async def test_a_socket_closes_when_its_token_expires(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        await server.round()
        assert server.hub.clients == 1
        del server.auth.callers["anna"]
        await server.round()
        closed = await client.closed()
        assert (closed.code, closed.reason) == (1008, "token_expired")


async def test_a_token_forgotten_but_valid_is_verified_again_and_the_socket_lives(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        server.auth.forgotten.add("anna")
        await server.round()
        await server.round()
        assert (await client.ask({"action": "ping", "id": 1}))["type"] == "pong"


async def test_a_socket_closes_when_its_role_is_found_changed(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        server.auth.forgotten.add("anna")
        server.auth.callers["anna"] = replace(ANNA, role=Role.VIEWER)
        await server.round()
        assert (await client.closed()).reason == "revoked"


async def test_a_newer_token_of_the_same_user_takes_over(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        server.auth.callers["newer"] = ANNA
        await client.ask({"action": "auth", "token": "newer", "id": 1})
        del server.auth.callers["anna"]
        await server.round()
        assert (await client.ask({"action": "ping", "id": 2}))["type"] == "pong"


async def test_heartbeats_come_when_nothing_else_does(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        await server.round()
        assert await client.receive() == {"type": "heartbeat", "ts": "2027-01-15T08:00:00.000Z"}
        await server.round(after_s=settings.stream.heartbeat_s - 1)
        assert await client.synchronise() == []
        await server.round(after_s=1)
        assert await client.receive() == {"type": "heartbeat", "ts": "2027-01-15T08:00:15.000Z"}


async def test_a_shutdown_says_so_and_closes_every_socket(settings: Settings) -> None:
    async with (
        stream_server(settings) as server,
        await server.subscribed("anna", "orders") as first,
        await server.subscribed("anna", "orders") as second,
    ):
        server.hub.publish_private(ANNA.accounts[0], "orders", {"type": "order"})
        await server.hub.stop()
        for client in (first, second):
            assert [message["type"] for message in await client.receive_some(2)] == ["order", "closing"]
            closed = await client.closed()
            assert (closed.code, closed.reason) == (1001, "shutdown")
        with pytest.raises(Refused) as refused:
            await WsClient.open(server.port)
        assert refused.value.status == 503
        server.hub.publish("trades:AAPL", {"type": "trade"})
        server.hub.publish_private(ANNA.accounts[0], "orders", {"type": "order"})
        assert server.hub.clients == 0


async def test_a_client_that_leaves_is_forgotten_everywhere(settings: Settings) -> None:
    async with stream_server(settings) as server:
        async with await server.subscribed("anna", "trades:AAPL", "trades:*", "orders", "jobs") as client:
            await client.send_text((1000).to_bytes(2, "big"), CLOSE)
            assert (await client.closed()).code == 1000
            await eventually(lambda: server.hub.clients == 0)
        async with await server.subscribed("anna", "orders"):
            pass
        await eventually(lambda: server.hub.clients == 0)
        assert server.hub.counters.closed == {"client": 2}
        published = server.hub.counters.published
        server.hub.publish("quotes:AAPL", {"type": "quote"})
        assert server.hub.counters.published == published, "nobody listens to quotes"


async def test_publishing_to_nobody_costs_nothing_and_leaves_nothing(settings: Settings) -> None:
    async with stream_server(settings) as server:
        unencodable = {"type": "trade", "what": object()}
        server.hub.publish("trades:AAPL", unencodable)
        server.hub.publish_private(ANNA.accounts[0], "orders", unencodable)
        assert server.hub.counters.published == 0
        assert not server.hub.wanted("trades:AAPL")


async def test_a_cut_line_is_told_as_such(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client() as client:
        client.writer.transport.abort()
        with pytest.raises(Closed):
            await client.receive()
        await eventually(lambda: server.hub.clients == 0)
