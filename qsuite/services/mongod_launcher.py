"""Become mongod, and see to it that mongod does not outlive the process that asked for it.

Run as a script of its own (``python -I -S mongod_launcher.py PARENT_PID MONGOD ARGUMENT…``) because these two steps
belong between fork and exec, where a program that already has threads may not run Python.

Linux ends the database itself: the kernel sends SIGTERM when the parent's starting thread is gone. Elsewhere a small
process beside mongod looks every half second whether the parent still lives. ``PARENT_PID:SIGNAL`` names another
signal: the local stack ends any program of its so, frozen ones too, which only SIGKILL ends.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1  # linux/prctl.h
LOOK_EVERY_S = 0.5


def main(arguments: Sequence[str]) -> None:
    """Tie this process to its parent, then replace it by mongod."""
    named, _, number = arguments[0].partition(":")
    parent, ending = int(named), int(number or signal.SIGTERM)
    command = list(arguments[1:])
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, ending, 0, 0, 0)
    else:
        watch(parent, ending)
    if os.getppid() != parent:  # it died before the tie was made
        return
    try:
        os.execv(command[0], command)  # noqa: S606 - a shell would stand between mongod and its parent  # nosec B606
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.exit(126)


def watch(parent: int, ending: int) -> None:
    """Fork a process that sends mongod ``ending`` once ``parent`` is gone, and ends when mongod does."""
    mongod = os.getpid()  # exec keeps it
    if os.fork() != 0:
        return
    while os.getppid() == mongod:
        if not alive(parent):
            os.kill(mongod, ending)
            break
        time.sleep(LOOK_EVERY_S)
    os._exit(0)


def alive(pid: int) -> bool:
    """Tell whether a process of that id exists, whoever it belongs to."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
