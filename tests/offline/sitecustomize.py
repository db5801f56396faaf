"""Put on PYTHONPATH by tests/conftest.py, so that Python processes started by tests have no network either."""

from tests.network_block import block

block()
