"""Whether freed memory is kept."""

import subprocess
import sys

WORDS = """
import resource, sys
import torch
from agents.allocation import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
pages = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    before = pages()
    torch.ones(10_000_000)
print(pages() - before)
"""


def num_faults(how):
    """New pages that the third block of 40 MB, as large as those before it, needs."""
    done = subprocess.run([sys.executable, "-c", WORDS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_the_next_block_needs_no_new_pages():
    """Mutation: either parameter left as it was."""
    assert num_faults("kept") < 100 < num_faults("given back")
