"""What the memory of a trained agent holds, when it is needed, and what the choice hangs on."""
