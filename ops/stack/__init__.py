"""The local stack: all of QSuite as processes of this machine, without Docker. ``python -m ops.stack --help``.

A test takes the parts it needs::

    with running_stack(gateways=1, workers=0) as stack:
        stack.engine.kill()

Every process has ``port``, ``pid``, ``kill``, ``freeze``, ``thaw``, ``stop`` and ``start``; with ``proxies=True`` a
fault proxy stands in front of each mongod and of Redis.
"""

from ops.stack.people import User
from ops.stack.stack import OPERATOR, TRADER, Stack, running_stack

__all__ = ["OPERATOR", "TRADER", "Stack", "User", "running_stack"]
