"""What all tables share: naming, column types, the database's clock."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Enum, Integer, MetaData, ScalarSelect, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import JSON

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

#: Ticks and milliseconds need 64 bits; SQLite's own integers have them, and only INTEGER autoincrements there.
Big = BigInteger().with_variant(Integer, "sqlite")
#: None is SQL's NULL, not JSON's.
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


def enum_column(cls: type[StrEnum], name: str) -> Enum:
    """VARCHAR with a CHECK on both databases; autogenerate does not see new members, a test does."""
    return Enum(
        cls,
        native_enum=False,
        create_constraint=True,
        length=32,
        name=name,
        values_callable=lambda members: [str(m.value) for m in members],
    )


class db_now_ms(FunctionElement[int]):
    """Unix milliseconds on the DATABASE's clock: the only clock in SQL. Tests move it with `models.database.shift_time`."""

    type = BigInteger()
    inherit_cache = True
    name = "db_now_ms"


@compiles(db_now_ms, "postgresql")
def _postgresql(_element: db_now_ms, _compiler: SQLCompiler, **_kw: Any) -> str:
    # A session setting moves it in tests; unset or empty means no shift.
    return (
        "((extract(epoch from clock_timestamp()) * 1000)::bigint"
        " + coalesce(nullif(current_setting('reelyard.shift_ms', true), ''), '0')::bigint)"
    )


@compiles(db_now_ms, "sqlite")
def _sqlite(_element: db_now_ms, _compiler: SQLCompiler, **_kw: Any) -> str:
    # A function of the connection (models.database registers it), so that tests can move it there too.
    return "reelyard_now_ms()"


def db_now_once_ms() -> ScalarSelect[int]:
    """`db_now_ms()` asked for once a statement, not for each of a hundred thousand rows."""
    return select(db_now_ms()).scalar_subquery()


__all__ = ["Base", "Big", "Json", "db_now_ms", "db_now_once_ms", "enum_column"]
