"""Helpers of the tests: a real mongod, waiting, an API client."""
