"""Longhold and other systems train on one task, in turns, on one machine; see README.md."""
