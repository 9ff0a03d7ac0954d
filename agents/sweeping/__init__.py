"""Sweeps: tasks, cores, seeds and options as data, each run a process of its own."""
