"""``qsuite models``: train models from what is stored or from files of one's own."""

import click

from qsuite.cli.train_market import train_market


@click.group()
def models() -> None:
    """Train models, and see what they are worth.

    \b
    Example:  qsuite models train-market IBM SPY
    """


models.add_command(train_market)
