"""docs/reference/settings.md, written from `Settings`: `python -m models.settings_page > docs/reference/settings.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from models.settings import Settings

HEAD = """\
# Settings

Every setting is an environment variable; every process of the farm reads the same ones. This page is generated:
`python -m models.settings_page > docs/reference/settings.md`.

| variable | default | meaning |
| --- | --- | --- |
"""

# Defaults that depend on the machine are told, not evaluated.
MACHINE_DEFAULTS = {"node_name": "the host's name", "node_capacity": "100 × the number of cores"}


def page() -> str:
    prefix = Settings.model_config["env_prefix"]
    return HEAD + "".join(
        f"| `{prefix}{name.upper()}` | {_default(name, field)} | {_cell(field.description or '')} |\n"
        for name, field in Settings.model_fields.items()
    )


def _default(name: str, field: FieldInfo) -> str:
    if field.default_factory is not None:
        return MACHINE_DEFAULTS[name]
    match field.default:
        case None | "" | ():
            return "–"
        case dict() as rows if not rows:
            return "–"
        case SecretStr() as secret:
            return "–" if not secret.get_secret_value() else "secret"
        case tuple() as several:
            return f"`{','.join(map(str, several))}`"
        case bool() as yes:
            return f"`{str(yes).lower()}`"
        case str() | int() | float() | Path() as value:
            return f"`{value}`"
        case other:
            raise TypeError(f"{name}: no way to show a default of type {type(other).__name__}")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
