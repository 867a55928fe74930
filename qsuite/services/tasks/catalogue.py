"""The tasks there are, by the kind of their jobs. A new one is a module beside this and an entry here."""

from collections.abc import Mapping

from qsuite.services.tasks import train_market_model, train_sentiment
from qsuite.services.tasks.backtest import backtest
from qsuite.services.tasks.sweep import sweep, sweep_part
from qsuite.services.tasks.work import Task

TASKS: Mapping[str, Task] = {
    "backtest": backtest,
    "sweep": sweep,
    "sweep_part": sweep_part,
    train_market_model.KIND: train_market_model.train_market_model,
    train_sentiment.KIND: train_sentiment.train_sentiment,
}
