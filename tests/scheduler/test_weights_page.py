"""The page of weights says what the scheduler counts with."""

from __future__ import annotations

import os
from pathlib import Path

from models.settings import Settings
from scheduler import weights, weights_page

PAGE = Path(__file__).parents[2] / "docs/reference/capacity.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == weights_page.page(), weights_page.__doc__


def test_more_users_pixels_or_frames_weigh_more_and_the_unknown_weigh_as_expected() -> None:
    small, large = {"width": 640, "height": 360, "fps": 15}, {"width": 1280, "height": 720, "fps": 30}
    assert weights_page.weight(2, video=small) < weights_page.weight(17, video=small)
    assert weights_page.weight(2, video=small) < weights_page.weight(2, video=large)
    assert weights_page.weight(video=small) == weights_page.weight(weights.EXPECTED_USERS, video=small)


def test_a_nodes_capacity_is_its_cores_unless_it_is_said() -> None:
    assert Settings().node_capacity == 100 * (os.cpu_count() or 1)
    assert Settings(node_capacity=250).node_capacity == 250
