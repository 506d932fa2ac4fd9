"""Many small problems on one thread, a large one on all of them, and afterwards everything as it was."""

import subprocess
import sys

CODE = """
import sklearn.cluster
import torch
from threadpoolctl import threadpool_info
from pima_toolkit.fitting.threads import one_thread

def most():
    return max(pool["num_threads"] for pool in threadpool_info())

before = most(), torch.get_num_threads()
assert before == (2, 2), before
for size, expected in ((0, 1), (10**7, 2)):
    with one_thread(size):
        assert most() == expected, size
    assert (most(), torch.get_num_threads()) == before
"""


def test_small_problems_have_one_thread_and_large_ones_keep_theirs():
    env = {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", CODE], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
