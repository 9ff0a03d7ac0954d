"""Films of trained agents: an episode played and written down, its frames, and the video file."""
