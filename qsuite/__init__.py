"""QSuite: a self-hosted trading platform on Tornado and MongoDB.

Where things live, from the outside in:

    cli/        commands a person types          handlers/  HTTP and WebSocket, parse-call-show
    app.py      the one composition root         services/  use cases and long-running loops
    settings.py what can be configured           repos/     MongoDB, the only place that knows it
                                                 domain/    decisions: pure, no I/O, no clock

Imports point one way: cli -> app -> handlers -> services -> (domain, repos -> domain).
"""

__version__ = "0.1.0"
