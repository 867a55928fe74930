"""A request that is carried out elsewhere: sent on as it came, answered as it is answered there.

The caller was found out here, so that strangers never reach the engine's process; the token goes along and is verified
there again, where the request is also counted, and its idempotency key claimed: once, as if it had come there itself.

Invariant: a request that another process sent on is never sent on again, so there are no loops.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from tornado.httputil import HTTPServerRequest

from qsuite.domain.errors import Malformed, OutcomeUnknown, Unavailable
from qsuite.domain.throttling import ThrottleScope
from qsuite.handlers.keyed import HEADER as IDEMPOTENCY_KEY
from qsuite.handlers.keyed import KeyedAnswers
from qsuite.handlers.places import Entry, Place, client_ids
from qsuite.handlers.queries import check_address
from qsuite.services.forwarding.forwarder import Ask, Forwarder
from qsuite.services.forwarding.lines import Reply
from qsuite.services.forwarding.proof import HEADER as PROOF
from qsuite.services.forwarding.proof import Forwarded

if TYPE_CHECKING:
    from qsuite.handlers.routes import ApiApplication

# Of one connection (RFC 9110, 7.6.1), made anew for the next one, or believed only from proxies, who were asked here.
NOT_SENT_ON = frozenset(
    {
        *("Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect"),
        *("Content-Length", "Proxy-Authorization", "Forwarded", "X-Real-Ip", "X-Request-Id", PROOF),
    }
)
FORWARDED_PREFIX = "X-Forwarded-"
# What the answer gets here like every other one.
NOT_HANDED_BACK = frozenset({"connection", "keep-alive", "transfer-encoding", "date", "server", "x-request-id"})
CROSS_ORIGIN = "access-control-"
IDS_MAX = 100


class ForwardingAnswers(KeyedAnswers):
    """Answer by way of the process with the engine."""

    application: "ApiApplication"

    @property
    def forwarded(self) -> Forwarded | None:
        """Return what the process says that sent this request on, None for one that came by itself."""
        found: Forwarded | None = getattr(self.request.connection.context, "forwarded", None)  # type: ignore[union-attr]
        return found

    @property
    def order_id(self) -> UUID | None:
        """Return the id that an order of this request gets, None where nobody has promised one."""
        found = self.forwarded
        return None if found is None else found.order_id

    def elsewhere(self) -> tuple[Forwarder, Entry] | None:
        """Return what sends this request on, None where it is carried out here."""
        forward = self.application.forward
        if forward is None or not forward.elsewhere or self.forwarded is not None:
            return None
        entry = self.application.entry_of(type(self), self.request.method or "")
        if entry.place is Place.HERE:
            return None
        try:
            check_address(self.request.uri or "")
        except Malformed:  # refused here, like every address that nobody can read
            return None
        return forward, entry

    async def send_on(self, forward: Forwarder, entry: Entry) -> bool:
        """Answer as the engine's process does; False where it is away and this process may do it itself."""
        preferred = entry.place is Place.PREFERRED
        try:
            reply = await forward.send(self._ask(forward, entry, waits=not preferred))
        except OutcomeUnknown:
            raise
        except Unavailable:
            if preferred:
                return False
            raise
        self._hand_back(reply)
        return True

    def _ask(self, forward: Forwarder, entry: Entry, *, waits: bool) -> Ask:
        request, order_id = self.request, forward.new_id()
        headers = [(name, value) for name, value in request.headers.get_all() if _goes_along(name)]
        headers.append(("X-Request-ID", self.request_id))
        return Ask(
            method=request.method or "",
            target=request.uri or "",
            headers=headers,
            body=request.body,
            authorization=request.headers.get("Authorization", ""),
            address=request.remote_ip or "",
            scheme=request.protocol,
            order_id=order_id,
            again=lambda: entry.again(request),
            ids=lambda: _ids(request, entry, order_id),
            urgent=self._scope is ThrottleScope.CANCELS,
            waits=waits,
        )

    @property
    def _scope(self) -> ThrottleScope:
        method = self.request.method or ""
        scope: ThrottleScope = self.operations["GET" if method == "HEAD" else method].scope
        return scope

    def _hand_back(self, reply: Reply) -> None:
        self._status_code = reply.status
        for name, value in reply.headers:
            known = name.lower()
            if known not in NOT_HANDED_BACK and not known.startswith(CROSS_ORIGIN):
                self._headers[name] = value
        self.finish(reply.body)


def _goes_along(name: str) -> bool:
    return name not in NOT_SENT_ON and not name.startswith(FORWARDED_PREFIX)


def _ids(request: HTTPServerRequest, entry: Entry, order_id: UUID) -> Mapping[str, Any]:
    """Return what a request's outcome can be found by."""
    found: dict[str, Any] = {}
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None:
        found["idempotency_key"] = key
    if entry.mark != "#":
        return found
    named = client_ids(request.body)
    if len(named) == 1:
        return {**found, "order_id": str(order_id), "client_order_id": named[0]}
    return {**found, "client_order_ids": named[:IDS_MAX]}
