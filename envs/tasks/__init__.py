"""The native tasks, one file a family."""
