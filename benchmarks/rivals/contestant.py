"""What every contestant shares: the arguments it is started with, and the lines that it prints.

A contestant trains until it is ended. After each update it prints the env steps so far and the time; all that
is measured is read off these lines by `benchmarks.rivals.race`. It runs in a virtual environment of its own,
so nothing is imported here that one of them might lack.
"""

import argparse
import json
import os
import time


def parse_args() -> argparse.Namespace:
    """The arguments that a contestant is started with: `hidden_size`, `num_cores` and `variant`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hidden-size", type=int, required=True)
    parser.add_argument("--num-cores", type=int, required=True)
    parser.add_argument("--variant", default="")
    return parser.parse_args()


class Updates:
    """Prints a line after each update; whatever else is printed goes to standard error from now on."""

    def __init__(self):
        self._lines = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._parent = os.getppid()

    def tell(self, env_steps: float) -> None:
        """An update has ended; so many env steps were learnt from so far."""
        self._lines.write(json.dumps({"env_steps": int(env_steps), "time": time.time()}) + "\n")
        self._lines.flush()
        if os.getppid() != self._parent:
            raise SystemExit("nobody reads any more")
