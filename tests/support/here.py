"""Workers that are this very process, for tests of what is computed and not of where."""

from collections.abc import Callable
from typing import Any


class Here:
    """Run everything at once."""

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)
