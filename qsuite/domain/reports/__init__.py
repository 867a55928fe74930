"""What reports say, worked out of the ledger alone: statements of a day, profit by group, how well orders filled."""
