"""The programs: train, evaluate, benchmark. Each is run as `python -m scripts.NAME`; nothing imports them."""
