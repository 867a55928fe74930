"""What reaches the gateways through nginx, and what clients see when one is away: a real nginx as it is shipped."""

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient

from tests.support.edge import running_edge
from tests.support.waiting import eventually

ORDERS = "/api/v1/orders/"


async def test_a_client_is_known_by_the_address_it_comes_from_whatever_it_claims(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        lies = {
            "X-Forwarded-For": "6.6.6.6",
            "X-Real-IP": "6.6.6.6",
            "Forwarded": "for=6.6.6.6",
            "X-Request-ID": "mine",
        }
        assert (await edge.fetch(ORDERS, headers=lies)).code == 200
        (request,) = edge.gateways[0].seen + edge.gateways[1].seen
    assert request.headers.get_list("X-Forwarded-For") == ["127.0.0.1"]
    assert request.headers["X-Forwarded-Proto"] == "https"
    assert request.headers["Host"] == f"localhost:{edge.port}"
    assert request.headers["X-Request-ID"] == "mine"
    assert "X-Real-Ip" not in request.headers
    assert "Forwarded" not in request.headers


async def test_nothing_older_than_tls_1_2_and_nothing_in_the_open_is_spoken(tmp_path: Path) -> None:
    async def spoken(version: ssl.TLSVersion) -> str | None:
        context = ssl.create_default_context(cafile=edge.authority)
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", edge.port, ssl=context, server_hostname="localhost")
        except (ssl.SSLError, ConnectionError):
            return None
        found: str = writer.get_extra_info("ssl_object").version()
        writer.close()
        return found

    async with running_edge(tmp_path) as edge:
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            assert await spoken(ssl.TLSVersion.TLSv1_1) is None
        assert await spoken(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        assert await spoken(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
        plain = await AsyncHTTPClient().fetch(f"http://localhost:{edge.port}{ORDERS}", raise_error=False)
        assert plain.code == 400
        assert edge.gateways[0].seen == edge.gateways[1].seen == []


async def test_a_websocket_and_events_come_through_as_they_are_sent(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        socket = await edge.socket()
        await socket.write_message("there")
        assert await socket.read_message() == "there"
        heard: list[bytes] = []
        reading = asyncio.ensure_future(edge.fetch("/api/v1/stream/", streaming_callback=heard.append))
        await eventually(lambda: heard == [b"data: first\n\n"], what="the first event while the answer is under way")
        assert not reading.done()
        for gateway in edge.gateways:
            gateway.more.set()
        assert (await reading).code == 200
        assert b"".join(heard) == b"data: first\n\ndata: second\n\n"
        socket.close()


async def test_while_one_gateway_says_503_the_other_answers_reads_and_nothing_is_ordered_twice(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        edge.gateways[0].status = 503
        assert [(await edge.fetch(ORDERS)).code for _ in range(6)] == [200] * 6
        codes = [(await edge.fetch(ORDERS, method="POST", headers={"N": str(n)})).code for n in range(10)]
        assert set(codes) <= {201, 200, 503}
        posted = [one.headers["N"] for gateway in edge.gateways for one in gateway.seen if one.method == "POST"]
        assert sorted(posted, key=int) == [str(n) for n in range(10)]


async def test_orders_go_to_the_gateway_that_is_left_when_the_other_is_gone(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        await edge.gateways[0].stop()
        codes = [(await edge.fetch(ORDERS, method="POST")).code for _ in range(10)]
        assert codes == [200] * 10
        assert len(edge.gateways[1].seen) == 10


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
async def test_a_change_whose_answer_was_lost_is_sent_once_and_its_outcome_told_to_be_unknown(
    tmp_path: Path, method: str
) -> None:
    async with running_edge(tmp_path) as edge:
        edge.gateways[0].cut = edge.gateways[1].cut = True
        body = {"body": "{}"} if method != "DELETE" else {}
        answer = await edge.fetch(ORDERS + "7/", method=method, **body)
        assert len(edge.gateways[0].seen) + len(edge.gateways[1].seen) == 1
    assert problem(answer)["code"] == "outcome-unknown"
    assert answer.headers["Retry-After"] == "1"


async def test_a_read_whose_answer_was_lost_is_asked_of_the_other_gateway(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        edge.gateways[0].cut = True
        assert [(await edge.fetch(ORDERS)).code for _ in range(2)] == [200, 200]


async def test_without_any_gateway_all_is_unavailable_and_the_container_unhealthy(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        health = f"http://127.0.0.1:{edge.health_port}/health/ready"
        assert (await AsyncHTTPClient().fetch(health)).code == 200
        for gateway in edge.gateways:
            await gateway.stop()
        for method in ("GET", "POST", "DELETE"):
            assert problem(await edge.fetch(ORDERS, method=method))["code"] == "unavailable"
        assert (await AsyncHTTPClient().fetch(health, raise_error=False)).code == 502


async def test_health_is_told_as_the_gateways_tell_it_also_while_they_are_left_alone(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        edge.gateways[0].status = edge.gateways[1].status = 503
        refused = [await edge.fetch(ORDERS) for _ in range(8)]
        assert problem(refused[-1])["code"] == "unavailable"  # both are left alone by now
        told = [await edge.fetch("/health") for _ in range(8)]
        assert [one.code for one in told] == [503] * 8
        assert {json.loads(one.body)["gateway"] for one in told} == {"one", "two"}
        assert (await edge.fetch("/metrics")).code == 404


async def test_a_body_beyond_what_an_address_takes_is_refused_at_the_edge(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        large = "x" * 2_000_000
        answer = await edge.fetch(ORDERS, method="POST", body=large)
        assert edge.gateways[0].seen == edge.gateways[1].seen == []
        assert problem(answer, 413)["code"] == "too_large"
        assert (await edge.fetch(ORDERS + "bulk/", method="POST", body=large)).code == 200


async def test_a_new_certificate_is_shown_after_a_reload_that_ends_no_stream(tmp_path: Path) -> None:
    async with running_edge(tmp_path) as edge:
        socket = await edge.socket()
        assert await edge.shown() == edge.certificate
        old = edge.certificate
        edge.certify("localhost,127.0.0.1,desk.example")
        assert edge.certificate != old
        assert await edge.shown() == old
        edge.reload()

        async def shows_the_new_one() -> bool:
            return await edge.shown() == edge.certificate

        await eventually(shows_the_new_one, what="the new certificate")
        await socket.write_message("still there")
        assert await socket.read_message() == "still there"
        socket.close()


def problem(answer: Any, status: int = 503) -> dict[str, Any]:
    assert answer.code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    told: dict[str, Any] = json.loads(answer.body)
    assert told["status"] == status
    assert told["request_id"] == answer.headers["X-Request-ID"]
    return told
