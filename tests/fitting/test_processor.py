"""What a fit does to the process it runs in: its memory and its threads."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import torch
from pima_toolkit.fitting.inputs.tensors import keep_freed_memory

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = pages()
keep_freed_memory()
pages()
print(first, pages())
"""


def printed(script: str) -> list[int]:
    """Numbers that a process of its own prints."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_freed_memory_is_used_again():
    """Twenty arrays of 40 MB in turn: their pages are asked of the system each time, and after it once."""
    before, after = printed(FAULTS)
    assert after < before / 5
