"""nginx as it is shipped, in front of two small gateways that do what a test says.

Only addresses and paths of the shipped file are replaced; nginx is the one on this machine, and a test is skipped where
there is none.
"""

import asyncio
import os
import shutil
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketClientConnection, WebSocketHandler, websocket_connect

from config.compose import certificates
from tests.support.mongod import free_port
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "config/nginx/nginx.conf"


@dataclass
class Gateway:
    """One server behind nginx. ``status`` is what it answers; ``cut`` ends a connection once a request was read."""

    name: str
    status: int = 200
    cut: bool = False
    seen: list[HTTPServerRequest] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)
    """Server-sent events go on when this is set."""

    def __post_init__(self) -> None:
        routes = [
            (r"/ws/v1/stream", Echo, {"gateway": self}),
            (r"/api/v1/stream/", Events, {"gateway": self}),
            (r".*", Any200, {"gateway": self}),
        ]
        self._server = HTTPServer(Application(routes), max_buffer_size=1 << 27, max_body_size=1 << 27)
        (socket,) = bind_sockets(0, "127.0.0.1")
        self.port = int(socket.getsockname()[1])
        self._server.add_socket(socket)

    async def stop(self) -> None:
        """Listen no longer and end what is open."""
        self._server.stop()
        await self._server.close_all_connections()


class Any200(RequestHandler):
    def initialize(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def prepare(self) -> None:
        self.gateway.seen.append(self.request)
        if self.gateway.cut:
            self.detach().close()
            return
        self.set_status(self.gateway.status)
        self.finish({"gateway": self.gateway.name, "status": self.gateway.status})


class Events(RequestHandler):
    def initialize(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def get(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        self.write("data: first\n\n")
        await self.flush()
        await self.gateway.more.wait()
        self.write("data: second\n\n")


class Echo(WebSocketHandler):
    def initialize(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def open(self, *_: str, **__: str) -> None:
        self.gateway.seen.append(self.request)

    def on_message(self, message: str | bytes) -> None:
        self.write_message(message)


class Edge:
    """A running nginx, and questions to it over TLS that is looked at."""

    def __init__(self, folder: Path, gateways: list[Gateway]) -> None:
        self.folder, self.gateways = folder, gateways
        self.port, self.health_port = free_port(), free_port()
        (folder / "tls").mkdir()
        self.certify("localhost,127.0.0.1")
        self.config = folder / "nginx.conf"
        self.config.write_text(self._placed(SHIPPED.read_text()))
        own = "user root;" if os.geteuid() == 0 else ""  # else its workers are nobody, who may not write here
        command = [find_nginx(), "-e", str(folder / "error.log"), "-p", str(folder), "-c", str(self.config)]
        self.process = subprocess.Popen([*command, "-g", f"daemon off; {own}"])

    def certify(self, names: str) -> None:
        """Make the certificate as the compose file does."""
        certificates.make_edge(self.folder / "tls", names.split(","))

    def _placed(self, text: str) -> str:
        text = text.replace("/tmp/", f"{self.folder}/")  # first: the folder itself may be under it
        for device, name in (("/dev/stdout", "access.log"), ("/dev/stderr", "error.log"), ("/etc/nginx/tls", "tls")):
            text = text.replace(device, str(self.folder / name))
        for number, gateway in enumerate(self.gateways, 1):
            text = text.replace(f"gateway-{number}:8000", f"127.0.0.1:{gateway.port}")
        text = text.replace("listen 8443 ssl", f"listen 127.0.0.1:{self.port} ssl")
        return text.replace("listen 127.0.0.1:8081", f"listen 127.0.0.1:{self.health_port}")

    @property
    def authority(self) -> str:
        """Return the file that vouches for its certificate: the certificate itself."""
        return str(self.folder / "tls" / "fullchain.pem")

    @property
    def certificate(self) -> bytes:
        """Return the certificate on disk."""
        return ssl.PEM_cert_to_DER_cert(Path(self.authority).read_text())

    async def shown(self) -> bytes | None:
        """Return the certificate that a new connection is shown."""
        anybody = ssl.create_default_context()
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=anybody)
        found: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return found

    async def listens(self) -> bool:
        """Say whether it answers yet."""
        assert self.process.poll() is None, (self.folder / "error.log").read_text()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def fetch(self, path: str, **options: Any) -> HTTPResponse:
        """Ask over TLS, as a client that believes this certificate alone."""
        options = {"ca_certs": self.authority, "raise_error": False, "request_timeout": 10, **options}
        if options.get("method") in ("POST", "PUT"):
            options.setdefault("body", "{}")
        return await AsyncHTTPClient().fetch(f"https://localhost:{self.port}{path}", **options)

    async def socket(self) -> WebSocketClientConnection:
        """Open a WebSocket."""
        return await websocket_connect(
            HTTPRequest(f"wss://localhost:{self.port}/ws/v1/stream", ca_certs=self.authority, connect_timeout=10)
        )

    def reload(self) -> None:
        """Tell it to read its files again, as `nginx -s reload` does."""
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End it at once."""
        self.process.terminate()
        self.process.wait()


def find_nginx() -> str:
    """Return the nginx of this machine; skips the test where there is none."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip("no nginx on the PATH: the shipped configuration is not tried")
    return found


@asynccontextmanager
async def running_edge(folder: Path) -> AsyncIterator[Edge]:
    """Run nginx in front of two gateways; whatever the test does, all have ended afterwards."""
    find_nginx()
    gateways = [Gateway("one"), Gateway("two")]
    edge = Edge(folder, gateways)
    try:
        await eventually(edge.listens, what="nginx")
        yield edge
    finally:
        edge.stop()
        for gateway in gateways:
            gateway.more.set()
            await gateway.stop()
