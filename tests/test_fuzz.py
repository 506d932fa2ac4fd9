"""Damaged and hostile input, and signals at random moments: an end said in words or a right answer, each cheap.

A process of its own takes a thousand inputs of a kind, so that what it holds and how long each takes can be measured,
and one that hangs or takes the memory ends that process alone.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: A text of NetCDF may say that it has 4 GB, and the library of its format takes them before it looks.
MEGABYTES = {"files": 500, "formulas": 500, "fits": 4500}


def printed_by(benchmark, *arguments):
    """What a benchmark prints as JSON."""
    script = ROOT / "benchmarks" / benchmark
    if not script.exists():
        pytest.skip("benchmarks are in the repository, not in the source distribution")
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), *arguments, "--seed", "0"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout) | {"stderr": done.stderr}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MEGABYTES)
def test_a_thousand_damaged_inputs_are_refused_in_sentences_or_read_rightly(kind):
    out = printed_by("fuzz.py", kind, "1000")
    assert out["crashes"] == []
    assert out["read"] + out["refused"] == 1000
    assert out["read"] >= 25  # whole ones are read
    assert out["refused"] >= 300  # damage is noticed
    assert out["slowest"][0] < 5.0, out["slowest"]
    assert out["added_MB"] < MEGABYTES[kind], out["largest"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="ends processes that it forked")
def test_a_run_that_is_ended_at_any_moment_goes_on_to_the_same_numbers():
    out = printed_by("kills.py", "2")
    assert out["wrong"] == [], out["stderr"]
    assert out["kills"] == sum(out["states"].values()) == 2
