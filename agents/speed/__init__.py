"""The commands of `scripts.benchmark`: what each asks its user, checks, measures and prints."""
