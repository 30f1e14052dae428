"""The same work as command lines of other tools: the same cells, crops and settings, from the same files."""

from __future__ import annotations

from pathlib import Path

from bench.inputs import Camera, Input
from bench.shapes import Shape
from models.vocabulary.scene import Item
from workers.recorder.mixer.tile import crop_to_shape


def ffmpeg_command(
    ffmpeg: str, shape: Shape, inputs: list[Input], seconds: int, folder: Path, *, one_thread: bool
) -> list[str]:
    """`one_thread`: one for each decoder, filter and encoder; else what ffmpeg chooses."""
    threads = ["-threads", "1"] if one_thread else []
    filters = ["-filter_complex_threads", "1", "-filter_threads", "1"] if one_thread else []
    command = [ffmpeg, "-v", "error", "-nostdin", "-y", *filters]
    for one in inputs:
        command += [*threads, "-i", str(one.container)]
    graph = [_ffmpeg_sound(len(inputs))] + ([_ffmpeg_pictures(shape)] if shape.streams else [])
    command += ["-filter_complex", ";".join(graph), "-map", "[a]", "-c:a", "aac", "-b:a", "48k", "-ac", "1"]
    spec = shape.spec
    if shape.streams:
        bps, gop = str(spec.video.bitrate_bps), str(spec.video.fps * spec.slice_s)
        command += ["-map", "[v]", "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", *threads]
        command += ["-b:v", bps, "-maxrate", bps, "-bufsize", str(2 * spec.video.bitrate_bps)]
        command += ["-g", gop, "-keyint_min", gop, "-sc_threshold", "0", "-r", str(spec.video.fps)]
    tail = ["-t", str(seconds), "-f", "hls", "-hls_time", str(spec.slice_s), "-hls_list_size", "0"]
    return [*command, *tail, str(folder / "ffmpeg.m3u8")]


def _ffmpeg_sound(count: int) -> str:
    inputs = "".join(f"[{i}:a]" for i in range(count))
    return f"{inputs}amix=inputs={count}:normalize=0[a]" if count > 1 else "[0:a]anull[a]"


def _ffmpeg_pictures(shape: Shape) -> str:
    items, spec, camera = shape.scene.items, shape.spec, shape.camera
    cells = [
        f"[{i}:v]fps={spec.video.fps},{_ffmpeg_crop(item, camera)},scale={item.w}:{item.h}:flags={_scaler(item, camera)}[v{i}]"
        for i, item in enumerate(items)
    ]
    size = f"{spec.video.width}:{spec.video.height}"
    left, top = min(item.x for item in items), min(item.y for item in items)
    if len(items) == 1:
        return f"{cells[0]};[v0]pad={size}:{left}:{top}[v]"
    places = "|".join(f"{item.x - left}_{item.y - top}" for item in items)
    stack = "".join(f"[v{i}]" for i in range(len(items)))
    return (
        ";".join(cells)
        + f";{stack}xstack=inputs={len(items)}:layout={places}:fill=black[s];[s]pad={size}:{left}:{top}[v]"
    )


def _ffmpeg_crop(item: Item, camera: Camera) -> str:
    x, y, w, h = crop_to_shape(camera.width, camera.height, item.w, item.h)
    return f"crop={w}:{h}:{x}:{y}"


def _scaler(item: Item, camera: Camera) -> str:
    return "area" if item.w <= camera.width and item.h <= camera.height else "bilinear"


def gstreamer_command(launcher: str, shape: Shape, inputs: list[Input], folder: Path) -> list[str]:
    spec = shape.spec
    unbounded = "queue max-size-time=0 max-size-buffers=0 max-size-bytes=0"
    sound = f"audiomixer name=m ! audio/x-raw,rate=48000,channels=1 ! audioconvert ! avenc_aac bitrate=48000 ! aacparse ! {unbounded} ! h."
    pictures = _gstreamer_pictures(shape, unbounded) if shape.streams else ""
    pipeline = f"{pictures} mpegtsmux name=h ! filesink location={folder / 'gst.ts'} {sound}"
    parser = "h264parse ! avdec_h264" if shape.camera.codec == "h264" else "vp8dec"
    for i, (one, item) in enumerate(zip(inputs, [*shape.scene.items], strict=True)):
        pipeline += f" filesrc location={one.container} ! matroskademux name=d{i}"
        pipeline += f" d{i}. ! {unbounded} ! opusdec ! audioconvert ! m."
        if shape.streams:
            x, y, w, h = crop_to_shape(shape.camera.width, shape.camera.height, item.w, item.h)
            right, bottom = shape.camera.width - x - w, shape.camera.height - y - h
            pipeline += f" d{i}. ! {unbounded} ! {parser} ! videocrop left={x} top={y} right={right} bottom={bottom} ! c.sink_{i}"
    assert spec.has_audio
    return [launcher, "-q", *pipeline.split()]


def _gstreamer_pictures(shape: Shape, unbounded: str) -> str:
    video, gop = shape.spec.video, shape.spec.video.fps * shape.spec.slice_s
    pads = " ".join(
        f"sink_{i}::xpos={item.x} sink_{i}::ypos={item.y} sink_{i}::width={item.w} sink_{i}::height={item.h}"
        for i, item in enumerate(shape.scene.items)
    )
    return (
        f"compositor name=c background=black {pads} ! "
        f"video/x-raw,format=I420,width={video.width},height={video.height},framerate={video.fps}/1 ! "
        f"x264enc speed-preset=veryfast bitrate={video.bitrate_bps // 1000} vbv-buf-capacity=2000 key-int-max={gop} "
        f"option-string=scenecut=0:bframes=3 ! video/x-h264,profile=high ! h264parse ! {unbounded} ! h."
    )
