"""What individual and web mode allow, and what each mode has no use for (contract §1, §5). Pure.

A block of another mode is accepted and reported, unless the contract says that it must not be given.
"""

from __future__ import annotations

from typing import Final

from models.vocabulary.spec import Mode
from scheduler import orders
from scheduler.fields import RECORDING_CONFIG, SERVICES, URL, check, check_outputs, within

WEB_RECORDER: Final = "web_recorder_service"
RTMP: Final = "rtmp_publish_service"
#: Uids (audio and video lists together) that each subscribeUidGroup has room for.
GROUPS: Final = (2, 7, 12, 17, 32, 49)
STREAM_MODES: Final = ("default", "standard", "original")
CONTAINERS: Final = ("mp4", "mp3", "m4a", "aac")
MAX_SIDE: Final = 1920
MAX_AREA: Final = 1920 * 1080


def check_mode(order: orders.Start, warnings: list[str]) -> None:
    """Raises `BadParameter` naming the field."""
    match order.mode:
        case Mode.INDIVIDUAL:
            _individual(order, warnings)
        case Mode.WEB:
            _web(order, warnings)
        case Mode.MIX:
            _unused(warnings, "mix", {
                "snapshotConfig": order.snapshots,
                "extensionServiceConfig": order.services,
                "appsCollection": order.combination_policy,
                "transcodeOptions": order.transcode,
                "recordingConfig.streamMode": order.stream_mode,
                "recordingConfig.subscribeUidGroup": order.subscribe_uid_group,
            })  # fmt: skip


def check_scene(scene: int, order: orders.Start) -> list[str]:
    """acquire's scene says what start's mode may be. Warnings."""
    where, mode = "clientRequest.scene of acquire", order.mode
    check(mode is not Mode.WEB or scene == 1, where, "must be 1 for web mode")
    check(mode is Mode.WEB or scene != 1, where, "1 is for web mode only")
    check(mode is Mode.INDIVIDUAL or scene != 2, where, "2 is for individual mode only")
    later = order.combination_policy is not None
    check(scene != 2 or later, "clientRequest.appsCollection", "is missing; scene 2 of acquire requires it")
    postponed = order.combination_policy == "postpone_transcoding"
    if mode is Mode.INDIVIDUAL and postponed and scene != 2:
        return ["clientRequest.appsCollection postpones transcoding, and scene of acquire was not 2"]
    return []


def _unused(warnings: list[str], mode: str, blocks: dict[str, object]) -> None:
    given = [name for name, value in blocks.items() if value is not None]
    warnings += [f"clientRequest.{name} is not used in {mode} mode" for name in given]


# -- individual -------------------------------------------------------------------------------------------------


def _individual(order: orders.Start, warnings: list[str]) -> None:
    _unused(warnings, "individual", {
        "recordingConfig.transcodingConfig": order.transcoding,
        "recordingConfig.audioProfile": order.audio_profile or None,
        "extensionServiceConfig": order.services,
    })  # fmt: skip
    check(
        order.av_file_type == ("hls",), "clientRequest.recordingFileConfig.avFileType", 'must be ["hls"] in individual mode'
    )  # fmt: skip
    _group(order)
    if order.stream_mode is not None:
        name = f"{RECORDING_CONFIG}.streamMode"
        check(order.stream_mode in STREAM_MODES, name, f"must be one of {', '.join(STREAM_MODES)}")
        check(order.stream_mode != "original" or order.stream_types == 0, name, '"original" needs streamTypes 0')
    if order.snapshots is not None:
        _snapshots(order, order.snapshots)
    _postponed(order)


def _group(order: orders.Start) -> None:
    name = f"{RECORDING_CONFIG}.subscribeUidGroup"
    group = order.subscribe_uid_group
    check(group is not None, name, "is missing; individual mode requires it")
    assert group is not None
    uids = {*(order.subscription.audio or ()), *(order.subscription.video or ())} - {"#allstream#"}
    check(
        len(uids) <= GROUPS[group], name, f"{group} has room for {GROUPS[group]} uids, and the lists name {len(uids)}"
    )


def _snapshots(order: orders.Start, asked: orders.Snapshots) -> None:
    within(asked.interval_s, 1, 3600, "clientRequest.snapshotConfig.captureInterval", " seconds")
    check(asked.file_types == ("jpg",), "clientRequest.snapshotConfig.fileType", 'must be ["jpg"]')
    check(order.stream_types in (1, 2), f"{RECORDING_CONFIG}.streamTypes", "must be 1 or 2 for snapshots")
    audio, video = order.subscription.audio, order.subscription.video
    check(
        not audio or bool(video), f"{RECORDING_CONFIG}.subscribeVideoUids", "is missing; with snapshots it goes with subscribeAudioUids"
    )  # fmt: skip


def _postponed(order: orders.Start) -> None:
    policy = order.combination_policy
    check(
        policy in (None, "default", "postpone_transcoding"), "clientRequest.appsCollection.combinationPolicy", 'must be "default" or "postpone_transcoding"'
    )  # fmt: skip
    if (asked := order.transcode) is None:
        return
    where = "clientRequest.transcodeOptions"
    check(
        asked.mode in ("postponeTranscoding", "audioMix"), f"{where}.transConfig.transMode", 'must be "postponeTranscoding" or "audioMix"'
    )  # fmt: skip
    check(asked.container in CONTAINERS, f"{where}.container.format", f"must be one of {', '.join(CONTAINERS)}")
    check(
        asked.sample_rate in ("48000", "32000", "16000"), f"{where}.audio.sampleRate", "must be 48000, 32000 or 16000"
    )
    check(asked.channels in ("1", "2"), f"{where}.audio.channels", "must be 1 or 2")
    check(asked.bitrate.isascii() and asked.bitrate.isdigit(), f"{where}.audio.bitrate", "must be a number in quotes")


# -- web --------------------------------------------------------------------------------------------------------


def _web(order: orders.Start, warnings: list[str]) -> None:
    check(not order.recording_given, RECORDING_CONFIG, "must not be given in web mode")
    _unused(warnings, "web", {
        "snapshotConfig": order.snapshots,
        "appsCollection": order.combination_policy,
        "transcodeOptions": order.transcode,
        "token": order.token or None,
    })  # fmt: skip
    check(bool(order.services), SERVICES, "is missing; web mode requires it")
    names = [service.name for service in order.services or ()]
    check(names.count(WEB_RECORDER) == 1, SERVICES, f"must hold one {WEB_RECORDER}")
    check(names.count(RTMP) <= 1, SERVICES, f"must hold at most one {RTMP}")
    for n, service in enumerate(order.services or ()):
        where = f"{SERVICES}[{n}]"
        check(service.name in (WEB_RECORDER, RTMP), f"{where}.serviceName", f"must be {WEB_RECORDER} or {RTMP}")
        if service.name == WEB_RECORDER:
            _web_recorder(service, where)
        else:
            _policy(service, where, "error_ignore")
            check_outputs(service.outputs, f"{where}.serviceParam.outputs")


def _web_recorder(service: orders.ExtensionService, at: str) -> None:
    _policy(service, at, "error_abort")
    where = f"{at}.serviceParam"
    check(bool(URL.fullmatch(service.url)), f"{where}.url", "must be an http or https address")
    for name, value in (
        ("audioProfile", service.audio_profile),
        ("videoWidth", service.width),
        ("videoHeight", service.height),
        ("maxRecordingHour", service.max_hours),
    ):
        check(value is not None, f"{where}.{name}", "is missing")
    assert service.width is not None and service.height is not None
    assert service.audio_profile is not None and service.max_hours is not None
    within(service.audio_profile, 0, 2, f"{where}.audioProfile")
    within(service.width, 240, MAX_SIDE, f"{where}.videoWidth")
    within(service.height, 240, MAX_SIDE, f"{where}.videoHeight")
    check(
        service.width * service.height <= MAX_AREA,
        f"{where}.videoWidth",
        "times videoHeight must not exceed 1920 × 1080",
    )
    within(service.max_hours, 1, 720, f"{where}.maxRecordingHour", " hours")
    if service.bitrate_kbps is not None:
        within(service.bitrate_kbps, 50, 8000, f"{where}.videoBitrate", " kbit/s")
    within(service.fps, 5, 60, f"{where}.videoFps")
    within(service.max_file_minutes, 30, 240, f"{where}.maxVideoDuration", " minutes")
    within(service.ready_timeout_s, 0, 60, f"{where}.readyTimeout", " seconds")


def _policy(service: orders.ExtensionService, where: str, policy: str) -> None:
    check(service.error_policy in ("", policy), f"{where}.errorHandlePolicy", f'must be "{policy}"')
