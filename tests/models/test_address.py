"""Channel addresses, taken apart and refused."""

from __future__ import annotations

import pytest

from models.vocabulary.address import check, is_janus, janus
from models.vocabulary.errors import ChannelAddressInvalid


def test_an_address_of_janus_says_where_and_which_room() -> None:
    plain = janus("janus+ws://media.example?rooms=string")
    assert (plain.url, plain.room_of("algebra"), plain.room_of("17")) == ("ws://media.example:8188", "algebra", "17")
    numbers = janus("janus+wss://[2001:db8::7]:443/janus?rooms=number&users=display&token=api")
    assert (numbers.url, numbers.room_of("1234")) == ("wss://[2001:db8::7]:443/janus", 1234)
    assert (numbers.users, numbers.token) == ("display", "api")
    mapped = janus('janus+ws://h?rooms=map&room=a:1&room=b:two&room=c:"3"&room=d:e:4')
    assert [mapped.room_of(cname) for cname in ("a", "b", "c", "d:e")] == [1, "two", "3", 4]
    assert janus("janus+ws://h").rooms == "string"


@pytest.mark.parametrize(
    ("address", "cname", "said"),
    [
        ("janus+ws://h?rooms=number", "algebra", "no room number"),
        ("janus+ws://h?rooms=number", "٣", "no room number"),
        ("janus+ws://h?rooms=number", str(2**53), "no room number"),
        ("janus+ws://h?rooms=map&room=a:1", "b", "maps no room"),
    ],
)
def test_a_channel_that_means_no_room_is_refused(address: str, cname: str, said: str) -> None:
    with pytest.raises(ChannelAddressInvalid, match=said):
        janus(address).room_of(cname)


@pytest.mark.parametrize(
    "address",
    [
        *("", "rtmp://h", "file:x", "whip", "janus+ws:h", "janus+ws://", "janus+http://h", "janus+ws://h:99999"),
        *("janus+ws://u:p@h", "janus+ws://h#x", "janus+ws://h?rooms=guess", "janus+ws://h?pin=1", "janus+ws://[x"),
        *("janus+ws://h?rooms=map", "janus+ws://h?room=a:1", "janus+ws://h?rooms=map&room=a", "whip:" + "x" * 2_000),
        "pull:rtsp://camera.example.org/main",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ChannelAddressInvalid):
        check(address)


def test_the_other_schemes_are_let_through() -> None:
    for address in ("whip:", "pull:", "scripted:a.json"):
        check(address)
        assert not is_janus(address)
