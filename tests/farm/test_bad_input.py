"""What only the whole farm can find out about a request: each is named, none kills anything."""

from __future__ import annotations

import json
from pathlib import Path

from farm.home import read_environment
from farm.judge.pictures import frames
from farm.judge.structure import structure_of
from tests.farm.backend import FPS, HEIGHT, WIDTH, Backend, Take
from tests.farm.processes import UpFarm, run
from tests.servers import S3Server, s3_client
from workers.recorder.mixer.geometry import best_fit_cells, pixels
from workers.synthetic.marker import View, read
from workers.synthetic.planes import luma

#: Any S3 API: the request names its endpoint.
ANY_S3 = 11


def app_beside(farm: UpFarm, channel: Path, *args: str) -> Backend:
    """One more app of a running farm, as its operator adds one."""
    command = ("app", "add", "more", "--channel", f"scripted:{channel}", "--slice", "2", *args)
    added = run(*command, cwd=farm.folder, env=read_environment(farm.folder))
    assert added.returncode == 0, added.stderr
    made = json.loads(added.stdout)
    return Backend(farm.ready["url"], made["appid"], made["customer_key"], made["customer_secret"])


def storage(s3: S3Server, *, secret: str | None = None, bucket: str | None = None) -> dict[str, object]:
    return {
        "vendor": ANY_S3,
        "region": 0,
        "bucket": bucket or s3.bucket,
        "accessKey": s3.access_key,
        "secretKey": s3.secret_key if secret is None else secret,
        "extensionParams": {"endpoint": s3.endpoint},
    }


def test_start_names_the_store_that_refuses_its_credentials(farm: UpFarm, scene: Path, s3: S3Server) -> None:
    backend = app_beside(farm, scene)
    answer = backend.try_start("c", backend.acquire("c"), storage(s3, secret="wrong-" + s3.secret_key))
    assert answer.status_code == 400, answer.text
    assert "sid" not in answer.json()
    assert "secretKey does not belong to accessKey" in answer.json()["reason"]
    assert s3.secret_key not in answer.text


def test_start_names_the_bucket_that_is_not_there(farm: UpFarm, scene: Path, s3: S3Server) -> None:
    backend = app_beside(farm, scene)
    answer = backend.try_start("c", backend.acquire("c"), storage(s3, bucket="no-such-bucket-here"))
    assert answer.status_code == 400, answer.text
    assert "bucket no-such-bucket-here does not exist" in answer.json()["reason"]


def test_a_recording_goes_into_the_store_that_its_request_names(farm: UpFarm, scene: Path, s3: S3Server) -> None:
    backend = app_beside(farm, scene)
    answer = backend.try_start("c", backend.acquire("c"), storage(s3))
    assert answer.status_code in (200, 201), answer.text
    sid = answer.json()["sid"]
    take = Take(backend, "c", answer.json()["resourceId"], sid)
    take.until_more(1)
    assert take.stop().status_code == 200
    keys = {entry["Key"] for entry in s3_client(s3).list_objects_v2(Bucket=s3.bucket)["Contents"]}
    assert take.playlist_name in keys
    assert len([key for key in keys if key.endswith(".ts")]) == take.told()["segments"]["stored"]
    assert not list(farm.store.rglob(f"{sid}*"))


def test_a_stream_that_cannot_be_decoded_is_left_out_and_said_and_the_rest_is_recorded(
    farm: UpFarm, tmp_path: Path
) -> None:
    come = [{"at_s": 0, "do": "join"}, {"at_s": 0, "do": "publish"}]
    users = [
        {"id": "alice", "number": 1, "width": WIDTH, "height": HEIGHT, "fps": FPS, "actions": come},
        {"id": "broken", "number": 2, "actions": [*come, {"at_s": 0, "do": "corrupt", "what": ["video"]}]},
    ]
    scene = tmp_path / "broken.json"
    scene.write_text(json.dumps({"users": users}))
    backend = app_beside(farm, scene, "--folder", "broken")

    take = backend.record_channel("broken")
    take.until_more(2)
    assert take.stop().status_code == 200

    told = take.told()
    assert told["status"] == 8
    assert [text for text in told["warnings"] if "broken" in text and "cannot be decoded" in text]
    structure = structure_of(farm.store / "broken" / take.playlist_name)
    assert structure.violations == ()
    assert told["holes"] == []
    box = pixels(best_fit_cells(2)[0], WIDTH, HEIGHT)
    places = [View(0, 0, WIDTH, HEIGHT, WIDTH, HEIGHT), View(box.x, box.y, box.w, box.h, WIDTH, HEIGHT)]
    planes = [luma(frame) for _, frame in frames([it.listed.path for it in structure.placed])]
    shown = [any((m := read(plane, place)) and m.user_no == 1 for place in places) for plane in planes]
    assert sum(shown) >= 0.95 * len(shown)
