"""The databases of tests/models, migrated."""

from tests.models.conftest import _keys, postgresql, sqlite

__all__ = ["_keys", "postgresql", "sqlite"]
