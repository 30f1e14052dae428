"""The client as its user has it, beside the farm: its package is taken from its own folder."""

import sys
from pathlib import Path

from tests.scheduler.fixtures import farm, sqlite_farm

_SOURCE = Path(__file__).parents[2] / "client" / "src"
if _SOURCE.is_dir():
    sys.path.insert(0, str(_SOURCE))

__all__ = ["farm", "sqlite_farm"]
