"""Operators, code and nonsense in every field, parameter and path: refused, or taken for the text that it is.

An operator never widens a list, a value of another type is never taken, a text is stored and shown as it came, and what
is another's stays unseen.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import pytest

from tests.adversarial.fields_of import Field, body_fields, query_names
from tests.adversarial.payloads import PAYLOADS, Payload, queries, quoted
from tests.adversarial.pipe import Pipe, side_by_side
from tests.adversarial.tally import SCALE, Tally, watched
from tests.adversarial.targets import ENDLESS, ID, Target, targets
from tests.adversarial.world import World

pytestmark = pytest.mark.timeout(600 * SCALE)

T = TypeVar("T")
JSON_BODY = b"Content-Type: application/json\r\n"
AT_A_TIME = 30
"""Payloads for one place at TEST_SCALE 1; the next place gets the next ones, so that all are sent everywhere alike."""


def some(every: Sequence[T], place: int) -> Iterator[T]:
    """Give all, or at TEST_SCALE 1 so many, others for each place."""
    count = len(every) if SCALE > 1 else min(AT_A_TIME, len(every))
    return (every[(place * count + each) % len(every)] for each in range(count))


def body_of(target: Target) -> bytes | None:
    return b"{}" if target.method in ("POST", "PUT", "PATCH") else None


async def test_nothing_injected_into_a_body_is_acted_upon(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    fields = list(body_fields())

    async def attack(pipe: Pipe, piece: tuple[Field, Payload]) -> None:
        field, payload = piece
        target = field.target
        reply = await world.ask(pipe, target, world.path(target), JSON_BODY, field.body(payload.raw))
        what = f"{field} = {payload.raw[:80]}: {reply}"
        tally.count(reply.status, what)
        if reply.status < 300 and not takes(field, payload):
            tally.deny(f"taken: {what}")
        if leak := world.leak(target, reply):
            tally.deny(f"shows {leak}: {what}")
        if reply.status < 300 and not shown_as_sent(field, payload, reply.json):
            tally.deny(f"changed: {what}")

    work = [(field, payload) for place, field in enumerate(fields) for payload in some(PAYLOADS, place)]
    with watched(f"injected into {len(fields)} fields of bodies", capsys) as tally:
        await side_by_side(world.api.port, work, attack)
    assert tally.sent.total() == len(work) > 5_000


def takes(field: Field, payload: Payload) -> bool:
    """Say whether a field may be of the payload's type. A field of no declared type may be anything."""
    if not field.types or payload.kind in field.types:
        return True
    return payload.kind == "number" and "integer" in field.types


def shown_as_sent(field: Field, payload: Payload, answer: Any) -> bool:
    """Say whether an answer that shows a text shows the one that was sent, but for case and the space around it."""
    name = field.place[-1]
    if payload.kind != "string" or len(field.place) > 1 or not isinstance(answer, dict) or name not in answer:
        return True
    shown, sent = answer[name], json.loads(payload.raw)
    return not isinstance(shown, str) or shown.strip().casefold() == sent.strip().casefold()


async def test_nothing_injected_into_a_query_shows_more_than_is_shown_without(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    plain: dict[str, set[str]] = {}

    async def learn(pipe: Pipe, target: Target) -> None:
        for query in ("?page_size=1000", ""):
            reply = await world.ask(pipe, target, world.path(target) + query, body=body_of(target))
            plain[target.template] = plain.get(target.template, set()) | rows_of(reply.json)

    async def attack(pipe: Pipe, piece: tuple[Target, str]) -> None:
        target, query = piece
        reply = await world.ask(pipe, target, f"{world.path(target)}?{query}", JSON_BODY, body_of(target))
        what = f"{target} ?{query[:120]}: {reply}"
        tally.count(reply.status, what)
        judge_rows(tally, plain.get(target.template, set()), reply.json, query, what)
        if leak := world.leak(target, reply):
            tally.deny(f"shows {leak}: {what}")

    named = [(target, name) for target, name in query_names() if target.template != ENDLESS]
    work = [(target, query) for place, (target, name) in enumerate(named) for query in some(list(queries(name)), place)]
    lists = {target.template: target for target, _ in named if target.method == "GET"}
    with watched(f"injected into {len(named)} parameters", capsys) as tally:
        await side_by_side(world.api.port, lists.values(), learn)
        await side_by_side(world.api.port, work, attack)
    assert tally.sent.total() == len(work) > 5_000
    assert any(plain.values()), "there was something to show"


def judge_rows(tally: Tally, plain: set[str], answer: Any, query: str, what: str) -> None:
    if not rows_of(answer) <= plain:
        tally.deny(f"shows more: {what}")
    if rows_of(answer) and ("=%7B%22%24" in query or "%24" in query.partition("=")[0]):
        tally.deny(f"an operator found something: {what}")


def rows_of(answer: Any) -> set[str]:
    """Return the ids of what a list shows."""
    rows = answer.get("results", ()) if isinstance(answer, dict) else ()
    return {str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row}


async def test_nothing_injected_into_a_path_finds_anything(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    async def attack(pipe: Pipe, piece: tuple[Target, str]) -> None:
        target, path = piece
        reply = await world.ask(pipe, target, path, JSON_BODY, body_of(target))
        what = f"{target} {path[:120]}: {reply}"
        tally.count(reply.status, what)
        if reply.status < 400:
            tally.deny(what)
        if leak := world.leak(target, reply):
            tally.deny(f"shows {leak}: {what}")

    work = []
    for target in targets():
        before, place, rest = target.template.partition("{")
        after = rest.partition("}")[2].replace("{id}", ID)
        values = {quoted(payload.text) for payload in PAYLOADS if 0 < len(payload.text) < 4_000} if place else set()
        work += [(target, f"{before}{value}{after}") for value in sorted(values)]
    work += [(target, f"{before}%2e%2e%2f%2e%2e%2fetc%2fpasswd{after}") for target, _ in work[::40]]
    with watched("injected into paths", capsys) as tally:
        await side_by_side(world.api.port, work, attack)
    assert tally.sent.total() == len(work) > 1_000


async def test_another_ones_id_in_a_path_finds_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Every route that takes an id, in every method: with one of another trader's it answers as if there were none."""

    async def attack(pipe: Pipe, piece: tuple[Target, str]) -> None:
        target, theirs = piece
        reply = await world.ask(pipe, target, target.path.replace(ID, theirs), JSON_BODY, body_of(target))
        tally.count(reply.status, f"{target} {reply}")
        if reply.status < 400 or reply.status == 412:
            tally.deny(f"{target} with {theirs}: {reply}")

    places = [target for target in targets() if "{id}" in target.template and world.role_for(target) == "trader"]
    work = [(target, theirs) for target in places for listed in world.theirs.values() for theirs in listed]
    with watched("another's ids", capsys) as tally:
        await side_by_side(world.api.port, work, attack)
    assert tally.sent.total() == len(work) > 100


HEADERS = (
    "Accept", "If-Match", "If-None-Match", "Idempotency-Key", "X-Request-ID", "X-Forwarded-For", "X-Forwarded-Proto",
    "Origin", "Content-Type", "Content-Encoding", "Range", "Accept-Encoding", "Accept-Language", "Cookie", "Referer",
    "User-Agent", "X-HTTP-Method-Override", "Last-Event-ID",
)  # fmt: skip


async def test_nothing_injected_into_a_header_is_our_fault(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    async def attack(pipe: Pipe, piece: tuple[Target, bytes]) -> None:
        target, line = piece
        reply = await world.ask(pipe, target, world.path(target), line + JSON_BODY, body_of(target))
        tally.count(reply.status, f"{target} {line[:100]!r}: {reply}")
        if b"\r\nSet-Cookie" in reply.head or reply.head.count(b"HTTP/1.1 ") != 1:
            tally.deny(f"{target} {line[:100]!r}: {reply.head!r}")

    asked = [each for each in targets() if each.template != ENDLESS and each.method in ("GET", "POST", "PATCH")]
    lines = [f"{name}: {text}\r\n".encode("utf-8", "surrogatepass") for name in HEADERS for text in header_texts()]
    work = [(asked[place % len(asked)], line) for place, line in enumerate(lines * max(1, SCALE))]
    with watched("injected into headers", capsys) as tally:
        await side_by_side(world.api.port, work, attack)
    assert tally.sent.total() == len(work) > 500


def header_texts() -> Iterator[str]:
    """Give the payloads that one header line can hold; what ends a line is for the tests of smuggling."""
    for payload in PAYLOADS:
        if len(payload.text) < 4_000 and not set(payload.text) & set("\r\n\x00"):
            yield payload.text
