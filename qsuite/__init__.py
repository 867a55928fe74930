"""QSuite: a self-hosted trading platform on Tornado and MongoDB.

Where things live, from the outside in:

    cli/        commands a person types          handlers/  HTTP and WebSocket, parse-call-show
    app.py      the one composition root         services/  use cases and long-running loops
    composition/ its sections                    repos/     MongoDB, the only place that knows it
    settings.py what can be configured           domain/    decisions: pure, no I/O, no clock

Imports point one way: cli -> app -> composition -> handlers -> services -> (domain, repos -> domain).
"""

__version__ = "0.1.0"
