"""The kill loop in its short form: a dozen kills on each database; `make torture` is the long one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dispatcher.db.terms import UnknownPolicy
from tests.torture.ground import Databases
from tests.torture.kills import Setup, kill_loop

SHORT = [
    Setup(4, drops=True),
    Setup(64, policy=UnknownPolicy.RESEND),
    Setup(16, leavers=1),
]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("setup", SHORT, ids=lambda setup: setup.title)
def test_whoever_is_killed_everyone_is_accounted_for(
    databases: Callable[[str], Databases], tmp_path: Path, kind: str, setup: Setup
) -> None:
    workers = 2 if kind == "postgresql" and setup.lanes < 64 else 1
    plan = [replace(setup, workers=workers)]
    results = list(kill_loop(databases(kind), tmp_path, plan, 4, 11, lambda _: None))
    assert [finding for result in results for finding in result.findings] == []
    assert sum(result.kills for result in results) >= 4
