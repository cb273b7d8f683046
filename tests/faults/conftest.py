"""What the fault tests share: the seed, and the table of what was tried and what was lost."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.faults.ledger import Ledger

SEED = pytest.StashKey[int]()
LEDGER = pytest.StashKey[Ledger]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults", "the fault tests")
    group.addoption("--seed", type=int, help="repeat the fault tests of the run with this seed")
    group.addoption(
        "--kills",
        type=int,
        default=100,
        metavar="N",
        help="kill a run N times, over all containers together (default: 100)",
    )
    group.addoption(
        "--writers-seconds",
        type=float,
        default=60,
        metavar="S",
        help="let twenty writers write for S seconds (default: 60)",
    )


def pytest_configure(config: pytest.Config) -> None:
    given = config.getoption("seed", None)
    config.stash[SEED] = random.SystemRandom().randrange(10**6) if given is None else given
    config.stash[LEDGER] = Ledger()


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    return request.config.stash[SEED]


@pytest.fixture
def chance(request: pytest.FixtureRequest, seed: int) -> random.Random:
    """Chance that is the same for the same seed, another for each test."""
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture
def ledger(request: pytest.FixtureRequest) -> Ledger:
    return request.config.stash[LEDGER]


@pytest.fixture
def share(request: pytest.FixtureRequest) -> int:
    """Among how many containers the work of this test is divided."""
    name = request.node.originalname
    return sum(getattr(item, "originalname", "") == name for item in request.session.items)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    lines = config.stash[LEDGER].lines()
    if lines:
        terminalreporter.section("faults")
        for line in lines:
            terminalreporter.write_line(line)
    terminalreporter.write_line(f"to repeat the fault tests: --seed {config.stash[SEED]}")
