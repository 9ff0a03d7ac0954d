"""Supervised probes: what a core can hold, learnt from labels in minutes, before reinforcement learning."""
