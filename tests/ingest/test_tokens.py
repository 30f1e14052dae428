"""Tokens between publisher, gateway, ingest and recorder."""

from __future__ import annotations

import base64
import json

import jwt
import pytest

from models.tokens import Audience, WhipClaims, mint_whip, verify_whip, whip_keys
from models.vocabulary.errors import Internal, Unauthorized

(KEY,) = whip_keys("the farm's secret")
NOW_S = 1_000_000.0


def test_a_token_says_what_it_was_minted_for() -> None:
    token = mint_whip(KEY, "app", "räum/1", "u", 60, NOW_S, Audience.UNITS)
    assert verify_whip(KEY, token, Audience.UNITS, NOW_S + 59) == WhipClaims("app", "räum/1", "u", 1_000_060)


def test_a_token_ends_at_its_second() -> None:
    token = mint_whip(KEY, "app", "room", "u", 60, NOW_S, Audience.WHIP)
    with pytest.raises(Unauthorized, match="expired"):
        verify_whip(KEY, token, Audience.WHIP, NOW_S + 60)


@pytest.mark.parametrize("meant", Audience)
@pytest.mark.parametrize("used", Audience)
def test_one_kind_of_token_is_never_taken_for_another(meant: Audience, used: Audience) -> None:
    token = mint_whip(KEY, "app", "room", "u", 60, NOW_S, meant)
    if meant is used:
        assert verify_whip(KEY, token, used, NOW_S).uid == "u"
        return
    with pytest.raises(Unauthorized):
        verify_whip(KEY, token, used, NOW_S)


def test_a_changed_key_still_verifies_what_the_old_one_signed() -> None:
    token = mint_whip(KEY, "app", "room", "u", 60, NOW_S, Audience.WHIP)
    assert verify_whip(whip_keys("new, the farm's secret"), token, Audience.WHIP, NOW_S).appid == "app"
    with pytest.raises(Unauthorized):
        verify_whip(whip_keys("new"), token, Audience.WHIP, NOW_S)


def test_a_farm_without_a_secret_signs_nothing() -> None:
    for empty in ("", " , "):
        with pytest.raises(Internal, match="REELYARD_SECRET_KEYS"):
            whip_keys(empty)


def test_an_unsigned_token_is_refused() -> None:
    claims = {"aud": "whip", "appid": "a", "room": "r", "uid": "u", "exp": 2_000_000}
    parts = [json.dumps({"alg": "none", "typ": "JWT"}), json.dumps(claims)]
    unsigned = ".".join(base64.urlsafe_b64encode(p.encode()).decode().rstrip("=") for p in parts) + "."
    with pytest.raises(Unauthorized):
        verify_whip(KEY, unsigned, Audience.WHIP, NOW_S)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "x" * 5000])
def test_what_is_no_token_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(Unauthorized) as refused:
        verify_whip(KEY, token, Audience.WHIP, NOW_S)
    assert len(refused.value.text) < 100


@pytest.mark.parametrize("wrong", [{"uid": 5}, {"exp": "soon"}, {"room": None}])
def test_malformed_claims_are_refused(wrong: dict[str, object]) -> None:
    claims: dict[str, object] = {"aud": "whip", "appid": "a", "room": "r", "uid": "u", "exp": 2_000_000}
    with pytest.raises(Unauthorized):
        verify_whip(KEY, jwt.encode(claims | wrong, KEY, algorithm="HS256"), Audience.WHIP, NOW_S)
