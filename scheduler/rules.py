"""Ranges and rules of the contract: an order in, a spec, its secrets and its warnings out. Pure.

A rule is ours where the contract is silent: what a mode does not use (a snapshotConfig in mix) is accepted and reported,
never silently dropped. Those of the picture are in `picture`, those of who is recorded in `selections`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

from models.vocabulary.errors import BadParameter, ChannelNameInvalid, NotBuiltYet
from models.vocabulary.spec import (
    AudioSpec,
    Mode,
    RecordingSpec,
    S3Store,
    Secrets,
    SnapshotSpec,
    StoreAddress,
    StoreKeys,
)
from scheduler import modes, orders
from scheduler.fields import MAX_LIST, RECORDING_CONFIG, STORAGE, SUBSCRIBE, check, check_outputs
from scheduler.picture import picture_of
from scheduler.selections import selection, selections
from stores.vendors import configured, place

MAX_CNAME_BYTES: Final = 64
MAX_CNAME_BYTES_WEB: Final = 1024
CNAME: Final = re.compile(r"[a-zA-Z0-9 !#$%&()+\-:;<=.>?@\[\]^_{}|~,]+")
MAX_UID: Final = 2**32 - 1
UID: Final = re.compile(r"[1-9][0-9]{0,9}")
IDLE_S: Final = (5, 2_592_000)
PREFIX_PART: Final = re.compile(r"[A-Za-z0-9]+")
MAX_PREFIX: Final = 128
STS_VENDORS: Final = (1, 2, 3)
MIN_STS_S: Final = 4 * 3600
SSE_VENDORS: Final = (1, 11)
TAG_VENDORS: Final = (1, 2, 11)
SALTED: Final = (7, 8)
FILE_TYPES: Final = (("hls",), ("hls", "mp4"))


@dataclass(frozen=True, slots=True)
class AppTerms:
    """What the app says about every recording of it. `store` None: the request's own."""

    appid: str
    channel: str
    slice_s: int
    store: StoreAddress | None
    store_keys: StoreKeys | None
    redundancy: int = 1


def check_cname(cname: str, *, web: bool = False) -> None:
    most = MAX_CNAME_BYTES_WEB if web else MAX_CNAME_BYTES
    check(cname != "", "cname", "is empty")
    if len(cname.encode()) > most:
        raise ChannelNameInvalid(f"cname has more than {most} bytes")
    if not CNAME.fullmatch(cname):
        raise ChannelNameInvalid(
            "cname has a character outside a-z A-Z 0-9 space ! # $ % & ( ) + - : ; < = . > ? @ [ ] ^ _ { } | ~ ,"
        )


def check_uid(uid: str) -> list[str]:
    """Warnings. An empty uid is what the original's own samples send: the farm then chooses the recorder's identity."""
    if uid == "":
        return ["uid is empty: the farm chooses the recorder's identity"]
    check(
        bool(UID.fullmatch(uid)) and int(uid) <= MAX_UID,
        "uid",
        f"must be a whole number from 1 to {MAX_UID}, in quotes",
    )
    return []


def check_acquire(order: orders.Acquire) -> list[str]:
    warnings = [*order.warnings, *check_uid(order.uid)]
    check(order.scene in (0, 1, 2), "clientRequest.scene", "must be 0, 1 or 2")
    check_cname(order.cname, web=order.scene == 1)
    hours = order.resource_expired_hour
    if not 1 <= hours <= 720:
        raise BadParameter(
            "Acquire: invalid resourceExpiredHour value! clientRequest.resourceExpiredHour must be from 1 to 720"
        )
    check(order.region in ("", "CN", "AP", "EU", "NA"), "clientRequest.region", "must be CN, AP, EU or NA")
    check(
        len(order.exclude_resource_ids) <= MAX_LIST,
        "clientRequest.excludeResourceIds",
        f"has more than {MAX_LIST} entries",
    )
    if order.region:
        warnings.append("clientRequest.region is not used: this farm is one region")
    return warnings


def spec_of(order: orders.Start, terms: AppTerms, *, uid: str) -> tuple[RecordingSpec, Secrets, list[str]]:
    """The whole order as a spec. `uid` is the recorder's own identity, chosen by the caller where the order has none.

    Raises `BadParameter` naming the field, or `NotBuiltYet` for what is valid and not there yet.
    """
    warnings: list[str] = list(order.warnings)
    check_cname(order.cname, web=order.mode is Mode.WEB)
    _check_recording(order)
    modes.check_mode(order, warnings)
    audio_from, video_from = selections(order, warnings)
    video, layout = picture_of(order.transcoding, warnings)
    prefix = _prefix(order.storage.prefix)
    check(
        order.av_file_type in FILE_TYPES,
        "clientRequest.recordingFileConfig.avFileType",
        'must be ["hls"] or ["hls","mp4"]',
    )
    store, keys = _store(order.storage, terms, warnings)
    _check_built(order)
    spec = RecordingSpec(
        mode=order.mode,
        appid=terms.appid,
        cname=order.cname,
        uid=uid,
        channel=terms.channel,
        channel_type=cast("Literal[0, 1]", order.channel_type),
        stream_types=cast("Literal[0, 1, 2]", order.stream_types),
        video_stream_type=cast("Literal[0, 1]", order.video_stream_type),
        max_idle_s=order.max_idle_s,
        slice_s=terms.slice_s,
        video=video,
        audio=AudioSpec(profile=cast("Literal[0, 1, 2]", order.audio_profile)),
        layout=layout,
        audio_from=audio_from,
        video_from=video_from,
        av_file_type=cast("tuple[Literal['hls', 'mp4'], ...]", order.av_file_type),
        file_prefix=prefix,
        store=store,
        redundancy=terms.redundancy,
        stream_mode=_stream_mode(order),
        snapshots=_snapshots(order),
    )
    secrets = Secrets(
        channel_token=order.token,
        decryption_secret=order.decryption_secret,
        decryption_salt=order.decryption_salt,
        store=keys,
    )
    return spec, secrets, warnings


def _check_recording(order: orders.Start) -> None:
    def within(value: int, allowed: Sequence[int], name: str) -> None:
        check(value in allowed, f"{RECORDING_CONFIG}.{name}", f"must be one of {', '.join(map(str, allowed))}")

    within(order.channel_type, (0, 1), "channelType")
    within(order.stream_types, (0, 1, 2), "streamTypes")
    within(order.video_stream_type, (0, 1), "videoStreamType")
    within(order.audio_profile, (0, 1, 2), "audioProfile")
    within(order.decryption_mode, range(9), "decryptionMode")
    low, high = IDLE_S
    check(low <= order.max_idle_s <= high, f"{RECORDING_CONFIG}.maxIdleTime", f"must be from {low} to {high} seconds")
    if order.subscribe_uid_group is not None:
        within(order.subscribe_uid_group, range(6), "subscribeUidGroup")
    if order.decryption_mode:
        check(order.decryption_secret != "", f"{RECORDING_CONFIG}.secret", "is missing; decryptionMode requires it")
    if order.decryption_mode in SALTED:
        check(
            _is_salt(order.decryption_salt),
            f"{RECORDING_CONFIG}.salt",
            "must be 32 bytes in base64 for decryptionMode 7 and 8",
        )


def _is_salt(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 32
    except (binascii.Error, ValueError):
        return False


def _stream_mode(order: orders.Start) -> Literal["default", "standard", "original"]:
    if order.mode is not Mode.INDIVIDUAL or order.stream_mode is None:
        return "default"
    return cast("Literal['default', 'standard', 'original']", order.stream_mode)


def _snapshots(order: orders.Start) -> SnapshotSpec | None:
    if order.mode is not Mode.INDIVIDUAL or order.snapshots is None:
        return None
    return SnapshotSpec(interval_s=order.snapshots.interval_s)


def _check_built(order: orders.Start) -> None:
    if order.mode is Mode.WEB:
        raise NotBuiltYet("mode web: channels are recorded, pages are not yet")
    if order.mode is Mode.INDIVIDUAL:
        _check_individual(order)
    if order.decryption_mode:
        raise NotBuiltYet(
            f"{RECORDING_CONFIG}.decryptionMode {order.decryption_mode}: channels of this farm are not decrypted yet"
        )


def _check_individual(order: orders.Start) -> None:
    if order.snapshots is not None and not order.files_given:
        raise NotBuiltYet(
            "clientRequest.snapshotConfig without recordingFileConfig: this farm takes snapshots beside a recording only"
        )
    if order.combination_policy == "postpone_transcoding" or order.transcode is not None:
        raise NotBuiltYet("clientRequest.appsCollection: this farm makes no other files of an individual recording yet")


# -- updates ---------------------------------------------------------------------------------------------------


def respecified(
    spec: RecordingSpec, secrets: Secrets, order: orders.Update, terms: AppTerms
) -> tuple[RecordingSpec, Secrets, list[str]]:
    """A running recording's spec and secrets after an update. Raises `BadParameter` or `NotBuiltYet`."""
    warnings: list[str] = list(order.warnings)
    check_update(spec.mode, order)
    if order.subscription is not None:
        spec = _resubscribed(spec, order.subscription, warnings)
    if order.storage is not None:
        secrets = _refreshed(spec, secrets, order.storage, terms, warnings)
    return spec, secrets, warnings


def check_update(mode: Mode, order: orders.Update) -> None:
    """Fields of another mode, and what is not there yet."""
    if mode is Mode.WEB:
        check(order.subscription is None, f"{SUBSCRIBE}", "must not be given in web mode")
    else:
        check(order.outputs is None, "clientRequest.rtmpPublishConfig", "is for web mode only")
    if order.outputs is not None:
        check_outputs(order.outputs, "clientRequest.rtmpPublishConfig.outputs")
    if order.on_hold is not None and mode is not Mode.MIX:
        raise NotBuiltYet("clientRequest.onhold: this farm pauses mixed recordings only")


def _resubscribed(spec: RecordingSpec, lists: orders.Subscription, warnings: list[str]) -> RecordingSpec:
    """A medium without a list keeps its subscription."""
    audio = selection(lists.audio, lists.audio_not, "Audio", warnings, where=f"{SUBSCRIBE}.audioUidList")
    video = selection(lists.video, lists.video_not, "Video", warnings, where=f"{SUBSCRIBE}.videoUidList")
    check(not (video and not spec.has_video), f"{SUBSCRIBE}.videoUidList", "must not be given with streamTypes 0")
    check(not (audio and not spec.has_audio), f"{SUBSCRIBE}.audioUidList", "must not be given with streamTypes 1")
    if audio is None and video is None:
        warnings.append(f"{SUBSCRIBE} names nobody: the subscriptions stay as they are")
    return spec.model_copy(update={"audio_from": audio or spec.audio_from, "video_from": video or spec.video_from})


def _refreshed(
    spec: RecordingSpec, secrets: Secrets, asked: orders.Storage, terms: AppTerms, warnings: list[str]
) -> Secrets:
    """New keys for the same place: files of one recording never lie in two."""
    store, keys = _store(asked, terms, warnings)
    if terms.store is not None:
        return secrets
    check(store == spec.store, STORAGE, "must name the vendor, region and bucket of start: update refreshes keys only")
    if asked.prefix and _prefix(asked.prefix) != spec.file_prefix:
        warnings.append(f"{STORAGE}.fileNamePrefix stays that of start")
    return secrets.model_copy(update={"store": keys})


# -- where the files go -----------------------------------------------------------------------------------------


def _prefix(parts: tuple[str, ...]) -> tuple[str, ...]:
    name = f"{STORAGE}.fileNamePrefix"
    check(all(PREFIX_PART.fullmatch(part) for part in parts), name, "may hold only a-z A-Z 0-9 in each entry")
    check(
        len("".join(f"{part}/" for part in parts)) <= MAX_PREFIX,
        name,
        f"has more than {MAX_PREFIX} characters in all, slashes included",
    )
    return parts


def _store(asked: orders.Storage, terms: AppTerms, warnings: list[str]) -> tuple[StoreAddress, StoreKeys]:
    """Where the files go. storageConfig must be right even where the operator's own store is used instead."""
    for name, value in (("bucket", asked.bucket), ("accessKey", asked.access_key), ("secretKey", asked.secret_key)):
        check(value.strip() != "", f"{STORAGE}.{name}", "is empty")
    check(asked.sse in ("", "kms", "aes256"), f"{STORAGE}.extensionParams.sse", 'must be "kms" or "aes256"')
    for name, value, vendors in (
        ("stsToken", asked.sts_token, STS_VENDORS),
        ("extensionParams.sse", asked.sse, SSE_VENDORS),
        ("extensionParams.tag", asked.tag, TAG_VENDORS),
        ("extensionParams.endpoint", asked.endpoint, (11,)),
    ):
        if value and asked.vendor not in vendors:
            warnings.append(f"{STORAGE}.{name} is not used with vendor {asked.vendor}")
    if asked.sts_token and not asked.sts_expiration_s:
        warnings.append(f"{STORAGE}.stsExpiration is not given: nobody can say when stsToken runs out")
    address = S3Store(
        vendor=asked.vendor,
        region=asked.region,
        bucket=asked.bucket,
        endpoint=asked.endpoint,
        sse=asked.sse,
        tag=asked.tag,
    )
    check_vendor(address, used=terms.store is None)
    if terms.store is None and not (row := configured()[asked.vendor]).tested:
        warnings.append(
            f"{STORAGE}.vendor {asked.vendor} ({row.name}) is untested: its requests follow its documents alone"
        )
    if terms.store is not None:
        where = "this app's own store" if terms.store.kind != "folder" else "this app's own folder"
        warnings.append(f"{STORAGE} is not used: the files go to {where}")
        return terms.store, terms.store_keys or StoreKeys()
    return address, StoreKeys(
        access_key=asked.access_key,
        secret_key=asked.secret_key,
        session_token=asked.sts_token,
        session_expires_s=asked.sts_expiration_s,
    )


def keys_last(asked: orders.Storage, now_s: int) -> list[str]:
    """Warnings: the contract wants a temporary key to be good for four hours when it comes."""
    left_s = asked.sts_expiration_s - now_s
    if not asked.sts_token or not asked.sts_expiration_s or left_s >= MIN_STS_S:
        return []
    if left_s <= 0:
        return [f"{STORAGE}.stsExpiration is over already"]
    return [f"{STORAGE}.stsExpiration is in {left_s // 60} minutes; the contract wants four hours"]


def check_vendor(address: S3Store, *, used: bool) -> None:
    """Whether there is such a vendor and region. Where the files go elsewhere (`used` false), a vendor that we have no
    store for is as good as any."""
    table = configured()
    vendor = table.get(address.vendor)
    if used or vendor is None or not vendor.refused:
        place(address, table)
