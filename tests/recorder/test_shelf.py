"""A slice's file goes when nobody needs it any more."""

from __future__ import annotations

from pathlib import Path

from workers.recorder.shelf import STORE, Shelf


def shelf(folder: Path, *others: str) -> Shelf:
    made = Shelf(folder)
    for other in others:
        made.register(other)
    for key in ("a/1.ts", "a/2.ts"):
        (folder / Path(key).name).write_bytes(b"slice")
        made.add(key, Path(key).name)
    return made


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_the_store_has_proven_is_freed(tmp_path: Path) -> None:
    made = shelf(tmp_path)
    made.passed("a/1.ts", STORE)
    assert left(tmp_path) == ["2.ts"]
    assert made.path("a/1.ts") is None
    assert made.path("a/2.ts") == tmp_path / "2.ts"


def test_a_slice_that_somebody_else_still_needs_stays(tmp_path: Path) -> None:
    made = shelf(tmp_path, "mp4")
    made.passed("a/1.ts", STORE)
    made.passed("a/2.ts", "mp4")
    assert left(tmp_path) == ["1.ts", "2.ts"]
    made.passed("a/1.ts", "mp4")
    assert left(tmp_path) == ["2.ts"]


def test_who_leaves_is_waited_for_no_longer(tmp_path: Path) -> None:
    made = shelf(tmp_path, "mp4")
    made.passed("a/1.ts", STORE)
    made.leave("mp4")
    assert left(tmp_path) == ["2.ts"]
    made.passed("a/2.ts", STORE)
    assert (left(tmp_path), len(made)) == ([], 0)


def test_passing_twice_or_what_is_gone_changes_nothing(tmp_path: Path) -> None:
    made = shelf(tmp_path)
    for _ in range(2):
        made.passed("a/1.ts", STORE)
        made.passed("never", STORE)
    assert left(tmp_path) == ["2.ts"]


def test_a_file_that_is_gone_already_is_no_error(tmp_path: Path) -> None:
    made = shelf(tmp_path)
    (tmp_path / "1.ts").unlink()
    made.passed("a/1.ts", STORE)
    assert made.path("a/1.ts") is None
