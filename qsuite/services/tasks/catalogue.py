"""The tasks there are, by the kind of their jobs. A new one is a module beside this and an entry here."""

from collections.abc import Mapping

from qsuite.services.tasks.backtest import backtest
from qsuite.services.tasks.train_market_model import KIND as TRAIN_MARKET_MODEL
from qsuite.services.tasks.train_market_model import train_market_model
from qsuite.services.tasks.work import Task

TASKS: Mapping[str, Task] = {"backtest": backtest, TRAIN_MARKET_MODEL: train_market_model}
