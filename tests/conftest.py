"""Options of the tests."""

import hypothesis
import pytest

hypothesis.settings.register_profile("shared machines", deadline=None)  # a busy core is no fault of the code
hypothesis.settings.load_profile("shared machines")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--launches", type=int, default=2, help="how often each launcher is started (slow tests)")
    parser.addoption("--kills", type=int, default=30, help="how often a running fit is killed (slow tests)")
    parser.addoption("--mutations", type=int, default=150, help="inputs that are changed at random, of each kind")
