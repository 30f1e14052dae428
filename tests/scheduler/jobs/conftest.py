from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scheduler.fixtures import farm, postgres_farm, sqlite_farm
from tests.scheduler.jobs.standin import Standin, serving


@pytest.fixture
def standin() -> Iterator[Standin]:
    with serving(Standin()) as service:
        yield service


__all__ = ["farm", "postgres_farm", "sqlite_farm", "standin"]
