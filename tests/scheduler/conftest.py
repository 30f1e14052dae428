from tests.scheduler.fixtures import farm, postgres_farm, sqlite_farm

__all__ = ["farm", "postgres_farm", "sqlite_farm"]
