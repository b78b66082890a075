"""Options of all tests."""

import pytest
from hypothesis import HealthCheck, settings

# how long an example takes says more of what else the machine does than of what is tested
settings.register_profile("hostler", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hostler")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regenerate", action="store_true", help="write the golden files anew instead of comparing")
