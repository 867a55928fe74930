"""Keys that steer a replay while it runs, where there is a terminal.

    space  pause, go on        + -  twice, half as fast        left right  a minute of the recording back, forth

Invariant: the terminal is as before when this ends, however it ends. Ctrl-C stays what it is.
"""

import asyncio
import os
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qsuite.domain.times import NS_PER_S

if TYPE_CHECKING:
    from qsuite.services.replay import Replay

HELP = "space pauses, + and - change the speed, left and right go a minute back and forth"
STEP_NS = 60 * NS_PER_S
SPEED_MIN, SPEED_MAX = 1 / 1024, 1_048_576.0
LEFT, RIGHT = b"\x1b[D", b"\x1b[C"
READ_BYTES = 64


@contextmanager
def steered(play: "Replay", terminal: int) -> Iterator[None]:
    """Let the keys of a terminal steer a replay; where ``terminal`` is none, nothing is done. Needs a running loop."""
    if not os.isatty(terminal):
        yield
        return
    loop, before = asyncio.get_running_loop(), termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    loop.add_reader(terminal, lambda: press(play, os.read(terminal, READ_BYTES)))
    try:
        yield
    finally:
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def press(play: "Replay", keys: bytes) -> None:
    """Do what the keys pressed say; others are ignored."""
    while keys:
        key = next((each for each in _ACTIONS if keys.startswith(each)), keys[:1])
        keys = keys[len(key) :]
        if (action := _ACTIONS.get(key)) is not None:
            action(play)


def _pause(play: "Replay") -> None:
    if play.paused:
        play.resume()
    else:
        play.pause()


def _faster(play: "Replay") -> None:
    if play.speed:  # as fast as possible already
        play.play_at(min(play.speed * 2, SPEED_MAX))


def _slower(play: "Replay") -> None:
    if play.speed:
        play.play_at(max(play.speed / 2, SPEED_MIN))


def _seek(play: "Replay", by_ns: int) -> None:
    if play.position_ns is not None:
        play.seek(play.position_ns + by_ns)


_ACTIONS: dict[bytes, Callable[["Replay"], None]] = {
    b" ": _pause,
    b"+": _faster,
    b"-": _slower,
    LEFT: lambda play: _seek(play, -STEP_NS),
    RIGHT: lambda play: _seek(play, STEP_NS),
}
