"""The programs; each is run as `python -m scripts.NAME`, and nothing imports them."""

import sys
from pathlib import Path


def taken_name() -> str | None:
    """What Python would import in place of one of Longhold's packages: a folder or file of the user's."""
    root = Path(__file__).resolve().parent.parent
    for name in ("agents", "cores", "envs"):
        for place in (Path(entry or ".").resolve() for entry in sys.path):
            there = [path for path in (place / name / "__init__.py", place / f"{name}.py") if path.is_file()]
            if there and place != root:
                return str(there[0].parent if there[0].stem == "__init__" else there[0])
            if there:
                break
    return None


if sys.argv[0] == "-m":  # one of them is being started, and its imports take seconds
    if taken := taken_name():
        print(
            f"{taken} stands where Longhold's own would be found; start from another folder", file=sys.stderr
        )
        sys.exit(2)

    from agents.signals import end_on_signal

    end_on_signal()
