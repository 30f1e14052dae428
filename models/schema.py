"""The schema's migrations. A module of its own: only who migrates pays for importing Alembic."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config

ROOT: Final = Path(__file__).resolve().parent.parent


def upgrade(url: str) -> None:
    """Bring the database's schema to this version's. Safe when several processes do so at once."""
    command.upgrade(alembic_config(url), "head")


def alembic_config(url: str) -> Config:
    config = Config(str(ROOT / "alembic.ini"))
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.attributes["url"] = url
    return config
