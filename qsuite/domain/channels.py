"""What a subscriber can listen to, and who may.

    trades:SYM  quotes:SYM  depth:SYM  signals:SYM  bars:INTERVAL:SYM    a market; SYM may be * for every symbol
    orders  executions  positions  account  risk                         accounts the caller may see; of risk events all
                                                                         for whoever reads everybody's trading
    jobs                                                                 the caller's own jobs

Vocabulary:

    kind       what comes before the symbol: ``trades``, ``bars:1m``
    wildcard   ``trades:*``: every symbol of a kind; its messages carry the channel of their own symbol
    public     of a market, the same for everybody; may be conflated to the newest for a slow reader
    private    of one account (``jobs``: of one user); never conflated, never dropped

Invariant: a name has one spelling. ``bars:60s:IBM`` is not a channel, because ``bars:1m:IBM`` is.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from qsuite.domain.intervals import parse_interval
from qsuite.domain.roles import TRADING_READERS, Caller
from qsuite.domain.scopes import Scope, Scopes

MARKET_KINDS = frozenset({"trades", "quotes", "depth", "signals"})
ACCOUNT_CHANNELS = frozenset({"orders", "executions", "positions", "account", "risk"})
USER_CHANNELS = frozenset({"jobs"})
EVERY_SYMBOL = "*"
RISK_DESK = UUID(int=0)
"""Owns the stream of all risk events."""

# A symbol may hold colons and slashes (BTC/USD, X:EURUSD), so only the first colons of a name divide it.
_SYMBOL = re.compile(r"[!-)+-~]{1,64}")


class ChannelName(NamedTuple):
    """A name that was understood; ``symbol`` is empty for a private channel."""

    name: str
    kind: str
    symbol: str = ""

    @property
    def private(self) -> bool:
        """Say whether it belongs to an account or user."""
        return not self.symbol

    @property
    def is_wildcard(self) -> bool:
        """Say whether it stands for every symbol of its kind."""
        return self.symbol == EVERY_SYMBOL

    @property
    def wildcard(self) -> str:
        """Return the name that stands for every symbol of this kind."""
        return f"{self.kind}:{EVERY_SYMBOL}"


def parse_channel(name: str) -> ChannelName:
    """Read the name of a channel. ValueError when there is no such channel."""
    if name in ACCOUNT_CHANNELS or name in USER_CHANNELS:
        return ChannelName(name, name)
    kind, _, symbol = name.partition(":")
    if kind == "bars":
        interval, _, symbol = symbol.partition(":")
        if parse_interval(interval).name != interval:
            raise ValueError("an interval is named in its largest unit")
        kind = f"bars:{interval}"
    elif kind not in MARKET_KINDS:
        raise ValueError("no such kind of channel")
    if symbol != EVERY_SYMBOL and _SYMBOL.fullmatch(symbol) is None:
        raise ValueError("not a symbol")
    return ChannelName(name, kind, symbol)


def scopes_of(channel: ChannelName) -> Scopes:
    """Return the scopes each of which lets an API key listen."""
    if channel.name in ACCOUNT_CHANNELS:
        return frozenset({Scope.TRADING_READ})
    analytics = channel.name in USER_CHANNELS or channel.kind == "signals"
    return frozenset({Scope.ANALYTICS if analytics else Scope.MARKET_READ})


def may_subscribe(caller: Caller, channel: ChannelName) -> bool:
    """Say whether the caller may listen: to markets and their own jobs always, to trading with accounts of their own.

    Whoever reads everybody's trading hears every risk event, on a stream that belongs to no account.

    The role counts beside the accounts, because a trader's API key may carry a lesser role.
    """
    if channel.name == "risk" and caller.reads_all:
        return True
    if channel.name in ACCOUNT_CHANNELS:
        return bool(caller.visible) and caller.role in TRADING_READERS
    return True


def private_keys(caller: Caller, name: str) -> Sequence[tuple[UUID, str]]:
    """Return ``(owner, channel name)`` of each stream behind a private channel.

    The default account's messages carry the bare name, a further account's ``orders:ACCOUNT``, so that every stream
    counts its own ``seq``.
    """
    if name in USER_CHANNELS:
        return [(caller.user, name)]
    if name == "risk" and caller.reads_all:
        return [(RISK_DESK, name)]
    first, *further = caller.visible
    return [(first, name), *((account, f"{name}:{account}") for account in further)]
