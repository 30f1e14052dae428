"""Tables that fit a terminal: what may be long gives way, what tells rows apart does not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from farm.operators.rows import Row

#: So much of a sid or a job's id is shown; commands take any beginning that only one has.
ID_CHARS: Final = 12
COLOURS: Final = {
    "in_progress": "green", "ready": "green", "open": "green", "running": "green", "done": "green", "exited": "green",
    "failed": "red", "wrong": "red", "gone": "red", "draining": "yellow", "cordoned": "yellow", "full": "red", "doubted": "yellow",
}  # fmt: skip

Columns = Sequence[tuple[str, str]]  # heading, and how it behaves: "keep", "give" or "number"


def table(columns: Columns, rows: Iterable[Sequence[Any]], nothing: str) -> RenderableType:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for heading, way in columns:
        give = way == "give"
        shown.add_column(
            heading,
            no_wrap=True,
            overflow="ellipsis",
            justify="right" if way == "number" else "left",
            min_width=5 if give else None,
            ratio=None,
        )
    for row in rows:
        shown.add_row(*(_cell(value) for value in row))
    return shown if shown.row_count else Text(nothing)


def _cell(value: Any) -> Text:
    text = _printable("" if value is None else str(value))
    return Text(text, style=COLOURS.get(text, ""))


def _printable(text: str) -> str:
    """Names are users': none of them moves the cursor."""
    return "".join(c if c.isprintable() else "�" for c in text)


def recordings(rows: Sequence[Row], now_ms: int) -> RenderableType:
    columns = (
        ("SID", "keep"), ("CHANNEL", "give"), ("STATE", "keep"), ("NODE", "give"),
        ("AGE", "number"), ("LENGTH", "number"), ("HOLES", "number"), ("", "give"),
    )  # fmt: skip
    return table(columns, (_recording(row, now_ms) for row in rows), "nothing is recorded")


def _recording(row: Row, now_ms: int) -> Sequence[Any]:
    fault = (row["fault"] or {}).get("text", "")
    wanted = "" if row["wanted"] == "run" or row["ended_ms"] else f"wanted: {row['wanted']}"
    return (
        row["sid"][:ID_CHARS],
        row["cname"],
        row["state"],
        ",".join(row["nodes"]),
        duration((now_ms - row["created_ms"]) / 1000),
        duration(row["length_s"]),
        f"{row['holes_s']:.1f} s" if row["holes_s"] else "",
        row["reason"] if row["ended_ms"] else fault or wanted,
    )


def jobs(rows: Sequence[Row], now_ms: int) -> RenderableType:
    columns = (
        ("JOB", "keep"), ("KEY", "give"), ("CHANNEL", "give"), ("STATE", "keep"),
        ("SID", "keep"), ("AGE", "number"), ("NEXT", "number"), ("", "give"),
    )  # fmt: skip
    return table(columns, (_job(row, now_ms) for row in rows), "there are no jobs")


def _job(row: Row, now_ms: int) -> Sequence[Any]:
    due_ms = row["next_check_ms"]
    return (
        row["job_id"][:ID_CHARS],
        row["key"],
        row["cname"],
        row["state"],
        row["sid"][:ID_CHARS],
        duration((now_ms - row["created_ms"]) / 1000),
        "" if due_ms is None else duration(max(0, due_ms - now_ms) / 1000),
        row["cause"] or row["trouble"],
    )


def nodes(rows: Sequence[Row]) -> RenderableType:
    columns = (
        ("NODE", "keep"), ("STATE", "keep"), ("LOAD", "number"), ("CAPACITY", "number"), ("RECORDINGS", "number"),
        ("MISSED", "number"), ("INGEST", "give"), ("VERSION", "keep"), ("", "give"),
    )  # fmt: skip
    return table(columns, (_node(row) for row in rows), "no node was ever up")


def _node(row: Row) -> Sequence[Any]:
    ingest = "none" if not row["ingest_url"] else "up" if row["ingest_up"] else "down"
    gone = f"for {duration(row['gone_s'])}" if row["gone_s"] is not None else ""
    return (
        row["node"],
        row["state"],
        f"{row['load'] / 100:.2f}",
        f"{row['capacity'] / 100:.2f}",
        row["tenures"],
        row["missed"] or "",
        ingest,
        row["version"],
        gone or row["cause"],
    )


def full_recording(row: Row) -> RenderableType:
    parts: list[RenderableType] = [_facts(row)]
    tenures = [(t["epoch"], t["node"], t["role"], t["state"], t["cause"]) for t in row["tenures"]]
    parts += _section("TENURES", ("EPOCH", "NODE", "ROLE", "STATE", "CAUSE"), tenures)
    holes = [(h["track"], f"{h['start_s']:.3f}", f"{h['end_s']:.3f}", h["state"], h["cause"]) for h in row["holes"]]
    parts += _section("HOLES", ("TRACK", "FROM S", "TO S", "STATE", "CAUSE"), holes)
    files = [(f["key"], f["kind"], f["bytes"], "final" if f["final"] else "", f["error"]) for f in row["files"]]
    parts += _section("FILES", ("KEY", "KIND", "BYTES", "", "ERROR"), files)
    return Group(*parts)


def _facts(row: Row) -> RenderableType:
    segments = row["segments"]
    fault = row["fault"] or {}
    facts = {
        "sid": row["sid"],
        "channel": f"{row['appid']}/{row['cname']}",
        "uid": row["uid"],
        "state": f"{row['state']} ({row['status']})",
        "wanted": " ".join(filter(None, (row["wanted"], f"({row['wanted_cause']})" if row["wanted_cause"] else ""))),
        "weight": f"{row['weight'] / 100:.2f} cores",
        "segments": f"{segments['stored']} of {segments['count']} stored, {segments['bytes']} bytes, {duration(segments['duration_s'])}",
        "ended": row["what_happened"],
        "fault": f"{fault.get('text', '')} ({fault.get('scope')})" if fault else "",
        "warnings": "; ".join(row["warnings"]),
    }
    shown = Table(box=None, show_header=False, pad_edge=False)
    shown.add_column(style="bold", no_wrap=True)
    shown.add_column(overflow="fold")
    for name, value in facts.items():
        if value:
            shown.add_row(name, _cell(value))
    return shown


def _section(title: str, headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[RenderableType]:
    if not rows:
        return []
    columns = [(heading, "give" if heading in ("CAUSE", "KEY", "ERROR") else "keep") for heading in headings]
    return [Text(f"\n{title}", style="bold cyan"), table(columns, rows, "")]


def findings(rows: Sequence[Row]) -> RenderableType:
    """What is wrong first, each with what it is about below its name."""
    columns = (("WHAT", "keep"), ("", "give"))
    told: list[Sequence[Any]] = []
    for row in sorted(rows, key=lambda row: not row["wrong"]):
        told.append(("wrong" if row["wrong"] else "known", f"{row['what']}: {row['key']}".rstrip(": ")))
        told.append(("", row["text"]))
        if row["mended"]:
            told.append(("", f"→ {row['mended']}"))
        elif row["wrong"]:
            told.append(("", "→ `reelyard repair` mends it" if row["mend"] else "→ nothing here can mend it"))
    return table(columns, told, "all of it agrees")


def duration(length_s: float) -> str:
    """8 s, 12:05, 3:00:07, 4d 02h."""
    whole = round(length_s)
    minutes, s = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours:02}h"
    if hours:
        return f"{hours}:{minutes:02}:{s:02}"
    return f"{minutes}:{s:02}" if minutes else f"{s} s"


def show(what: RenderableType, console: Console) -> None:
    console.print(what, highlight=False)
