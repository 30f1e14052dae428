"""`reelyard merge SID`: the single streams of an individual recording as one MP4, as the mixer would have recorded them."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from farm.interrupts import Interrupts
from farm.operators import doors
from models.settings import Settings, settings
from models.vocabulary.errors import BadParameter
from models.vocabulary.spec import AudioSpec, LayoutSpec, RecordingSpec, StoreKeys, VideoSpec
from models.vocabulary.ticks import seconds

if TYPE_CHECKING:
    from farm.operators.sources import Source

LAYOUTS: Final = ("float", "best-fit", "vertical", "custom")
_MAX_CONFIG_BYTES: Final = 64 << 10


@click.command()
@click.argument("sid")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The MP4 to be made.")
@click.option(
    "--from",
    "copied",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Read the files from this folder, by the index among them; no farm is asked.",
)
@click.option("--layout", type=click.Choice(LAYOUTS), help="As mixedVideoLayout.  [default: float]")
@click.option("--width", type=int, help="[default: 360]")
@click.option("--height", type=int, help="[default: 640]")
@click.option("--fps", type=int, help="[default: 15]")
@click.option("--bitrate", type=int, help="kbit/s of the picture.  [default: 500]")
@click.option("--audio-profile", type=click.IntRange(0, 2), default=0, show_default=True, help="As audioProfile.")
@click.option("--config", type=click.File("r"), help="JSON of a transcodingConfig; the options above go before it.")
@click.option("--skip-missing", is_flag=True, help="Leave out files that are not there.")
@doors.of_folder
def merge(
    sid: str,
    out: Path,
    copied: Path | None,
    layout: str | None,
    width: int | None,
    height: int | None,
    fps: int | None,
    bitrate: int | None,
    audio_profile: int,
    config: Any,
    skip_missing: bool,
    folder: Path | None,
) -> None:
    """Mix an individual recording's streams into one MP4, whose time 0 is the recording's.

    Files are read from the recording's store, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where the farm has no
    keys for it any more. Progress goes to stderr, one line of JSON to stdout.
    """
    asked = {"width": width, "height": height, "fps": fps, "bitrate": bitrate}
    asked["mixedVideoLayout"] = None if layout is None else LAYOUTS.index(layout)
    warnings: list[str] = []
    picture = _picture(config, {name: value for name, value in asked.items() if value is not None}, warnings)
    if out.exists():
        raise click.BadParameter(f"{out} is there already", param_hint="--out")
    audio = AudioSpec.model_validate({"profile": audio_profile})
    with Interrupts(), _source(copied, folder, sid) as (source, chosen):
        _merge(source, chosen, out, picture, audio, warnings, skip_missing=skip_missing)


@contextmanager
def _source(copied: Path | None, folder: Path | None, sid: str) -> Iterator[tuple[Source, Settings]]:
    from farm.operators import sources

    if copied is not None:
        yield sources.in_folder(copied, sid), settings()
        return
    access_key, secret_key = os.environ.get("AWS_ACCESS_KEY_ID", ""), os.environ.get("AWS_SECRET_ACCESS_KEY", "")
    given = StoreKeys(access_key=access_key, secret_key=secret_key) if access_key and secret_key else None
    with doors.whole(folder) as (database, chosen), sources.in_store(database, chosen, sid, given) as found:
        yield found, chosen


def _picture(config: Any, asked: dict[str, Any], warnings: list[str]) -> tuple[VideoSpec, LayoutSpec]:
    """By the rules of start. Raises `BadParameter`."""
    from pydantic import ValidationError

    from gateway.wire.requests import TranscodingConfig
    from scheduler.picture import picture_of

    if config is not None:
        try:
            told = json.loads(config.read(_MAX_CONFIG_BYTES))
        except ValueError as error:
            raise click.BadParameter("it is no JSON", param_hint="--config") from error
        if not isinstance(told, dict):
            raise click.BadParameter("it is no object of JSON", param_hint="--config")
        asked = told | asked
    if not asked:
        return picture_of(None, warnings)
    try:
        shape = TranscodingConfig.model_validate(asked)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise BadParameter(f"transcodingConfig.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    return picture_of(shape.transcoding(), warnings)


def _merge(
    source: Source,
    chosen: Settings,
    out: Path,
    picture: tuple[VideoSpec, LayoutSpec],
    audio: AudioSpec,
    warnings: list[str],
    *,
    skip_missing: bool,
) -> None:
    from farm.operators.sources import NotMergeable
    from workers.recorder.merging.merging import merge as merged
    from workers.recorder.merging.merging import merged_spec
    from workers.recorder.mixer.gallery import download

    missing, recorded = source.missing, source.recorded
    if missing and not skip_missing:
        every = sum(1 for _ in recorded.segments())
        raise NotMergeable(
            f"{len(missing)} of its {every} files are not there, the first is {min(missing)};"
            " --skip-missing leaves them out, `reelyard verify` tells more"
        )
    recorded = recorded.without(missing)
    spec: RecordingSpec = merged_spec(recorded, picture[0], audio, picture[1])
    length_s = seconds(recorded.end_90k)
    with (
        tempfile.TemporaryDirectory(prefix="reelyard-merge-") as loans,
        click.progressbar(length=round(length_s), label="mixing", file=sys.stderr) as bar,
    ):
        made = merged(
            recorded,
            spec,
            out,
            lambda segment: source.opened(segment, Path(loans)),
            download=partial(download, allow_networks=chosen.allow_networks),
            on_progress=lambda at_90k: bar.update(round(seconds(at_90k)) - bar.pos),
        )
    lost_s = sum(s.end_s - s.start_s for s in source.recorded.segments() if s.key in missing)
    told = {
        "sid": recorded.sid,
        "out": str(out),
        "bytes": made.film.bytes,
        "md5": made.film.md5,
        "duration_s": seconds(made.film.duration_90k),
        "users": len({stream.uid for stream in recorded.streams or () if stream.segments}),
        "segments": sum(1 for _ in recorded.segments()),
        "missing": len(missing),
        "missing_s": round(lost_s, 3),
        "warnings": [*warnings, *made.warnings],
    }
    sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")


COMMANDS: Final = (merge,)
