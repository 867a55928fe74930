"""The peer of every HTTP figure: the least Tornado does with a JSON POST. ``python -m benchmarks.echo_server``."""

import asyncio
import json

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler


class Echo(RequestHandler):
    """Read JSON, write it back."""

    def post(self) -> None:
        """Echo."""
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(json.loads(self.request.body)))


async def main() -> None:
    """Serve on any free port and print it."""
    server = HTTPServer(Application([("/", Echo)], log_function=lambda handler: None))
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
