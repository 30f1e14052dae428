"""`python -m tests.gateway`: the gateway fuzzed for FUZZ_SECONDS (600); the last line is one JSON object."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest


def main() -> int:
    seconds = float(os.environ.setdefault("FUZZ_SECONDS", "600"))
    verdict = pytest.main(
        ["-q", "-s", "-p", "no:xdist", "--timeout", "0", str(Path(__file__).with_name("test_fuzz.py"))]
    )
    from tests.gateway.fuzzing import REPORT, SEED  # it reads FUZZ_SECONDS

    requests = sum(part["requests"] for part in REPORT)
    most_mb = max((part["rss_kb"] // 1024 for part in REPORT), default=0)
    passed = verdict == pytest.ExitCode.OK
    found = {
        "passed": passed,
        "seconds": seconds,
        "seed": SEED,
        "requests": requests,
        "rss_mb": most_mb,
        "parts": REPORT,
    }
    print(json.dumps(found))
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
