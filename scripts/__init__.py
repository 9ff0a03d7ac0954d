"""The programs; each is run as `python -m scripts.NAME`, and nothing imports them."""

import sys

from agents.signals import end_on_signal

if sys.argv[0] == "-m":  # one of them is being started, and its imports take seconds
    end_on_signal()
