"""The test suite; tests/conftest.py lists its fixtures."""
