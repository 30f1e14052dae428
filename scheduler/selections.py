"""Whose sound and pictures are asked for. Pure."""

from __future__ import annotations

from typing import Final

from models.vocabulary.spec import Selection
from scheduler import orders
from scheduler.fields import MAX_LIST, RECORDING_CONFIG, check

MAX_USER_ID: Final = 64
EVERYBODY: Final = "#allstream#"


def selections(order: orders.Start, warnings: list[str]) -> tuple[Selection, Selection]:
    """Audio's and video's. A list for one medium only means that the other is not recorded at all."""
    lists = order.subscription
    audio = selection(lists.audio, lists.audio_not, "Audio", warnings)
    video = selection(lists.video, lists.video_not, "Video", warnings)
    check(
        not (video and order.stream_types == 0),
        f"{RECORDING_CONFIG}.subscribeVideoUids",
        "must not be given with streamTypes 0 (audio only)",
    )
    check(
        not (audio and order.stream_types == 1),
        f"{RECORDING_CONFIG}.subscribeAudioUids",
        "must not be given with streamTypes 1 (video only)",
    )
    nobody, everybody = Selection(rule="none"), Selection()
    if order.stream_types != 2 or (audio is None) == (video is None):
        return audio or everybody, video or everybody
    if audio is None:
        warnings.append(f"{RECORDING_CONFIG} lists whose video to take and no audio: no audio is recorded")
    else:
        warnings.append(f"{RECORDING_CONFIG} lists whose audio to take and no video: no video is recorded")
    return audio or nobody, video or nobody


def selection(
    white: tuple[str, ...] | None,
    black: tuple[str, ...] | None,
    medium: str,
    warnings: list[str],
    *,
    where: str = RECORDING_CONFIG,
) -> Selection | None:
    names = (f"{where}.subscribe{medium}Uids", f"{where}.unSubscribe{medium}Uids")
    for name, uids in zip(names, (white, black), strict=True):
        _check_list(name, uids)
        if uids == ():
            warnings.append(f"{name} is empty and counts as not given")
    check(not (white and black), names[1], f"and subscribe{medium}Uids exclude each other: give one of them")
    if white:
        return Selection() if white == (EVERYBODY,) else Selection(rule="only", uids=tuple(dict.fromkeys(white)))
    if black:
        if black == (EVERYBODY,):
            return Selection(rule="none")
        return Selection(rule="except", uids=tuple(dict.fromkeys(black)))
    return None


def _check_list(name: str, uids: tuple[str, ...] | None) -> None:
    if not uids:
        return
    check(len(uids) <= MAX_LIST, name, f"has more than {MAX_LIST} entries")
    check(
        all(0 < len(uid) <= MAX_USER_ID for uid in uids),
        name,
        f"has an entry that is empty or longer than {MAX_USER_ID} characters",
    )
    check(EVERYBODY not in uids or len(uids) == 1, name, f"must hold {EVERYBODY} alone or not at all")
