"""Backtests: a strategy on recorded bars, what came of it in figures, and sweeps over its parameters."""
