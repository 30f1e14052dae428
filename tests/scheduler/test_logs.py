"""One line format, and no secret in it."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from models import logs


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("test", "INFO", stream)
    yield stream
    root.handlers[:], root.level = before, level


def test_every_line_names_time_level_process_module_sid_epoch_and_request(lines: io.StringIO) -> None:
    with logs.bound(sid="s" * 32, epoch=3, request="r1"):
        logging.getLogger("some.module").warning("two\nlines")
    logging.getLogger("some.module").info("outside", extra={"sid": "x", "epoch": 2})
    first, second, third = lines.getvalue().splitlines()
    assert first.endswith(f" WARNING test some.module sid={'s' * 32} epoch=3 request=r1 | two")
    assert second.split(" ", 1)[1] == first.split(" ", 1)[1].replace("| two", "| lines")
    assert third.endswith(" INFO test some.module sid=x epoch=2 | outside")


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Basic cGxhbnRlZDpzZWNyZXQ=",
        "got bearer abcdefgh.planted",
        '{"secretKey": "planted", "accessKey":"planted"}',
        "{'stsToken': 'planted', 'secret': 'planted'}",
        "secret_key=planted&x=1",
        "https://user:planted@example.com/path",
        "redis://:planted@127.0.0.1:6379/0",
        "Location: http://h/whip/a/c/u?token=planted",
        "token eyJhbGciOiJIUzI1NiJ9.eyJwbGFudGVkIjoxfQ.c2lnbmF0dXJl",
        "customer_secret: planted",
        "X-Amz-Signature=planted X-Amz-Credential=planted",
        "StoreKeys(access_key='planted', secret_key='planted\\'planted')",
    ],
)
def test_secrets_are_taken_out_wherever_they_stand(lines: io.StringIO, text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger("m").exception("said %s", text)
    said = lines.getvalue()
    assert "planted" not in said
    assert "cGxhbnRlZ" not in said
    assert "eyJ" not in said
    assert logs.HIDDEN in said


def test_harmless_words_stay(lines: io.StringIO) -> None:
    text = "tokens of 3 apps, 12 secrets wiped, key frame at 90000, basically done"
    logging.getLogger("m").info(text)
    assert lines.getvalue().rstrip().endswith(f"| {text}")


def test_a_line_is_bounded_and_has_no_control_characters(lines: io.StringIO) -> None:
    logging.getLogger("m").info("\x1b[31mred\r" + "x" * 100_000)
    said = lines.getvalue()
    assert len(said) < logs.MAX_LINE + 200
    assert "\x1b" not in said
    assert "\r" not in said
