"""Reports over HTTP: every form says the same, to the last digit; whose they are; what a spreadsheet must not run."""
