"""Reports: the daily job that stores statements, and what answers for trades, positions, profit and execution."""
