"""The table of figures at the end of a run of the torture tests."""

pytest_plugins = ["pytester"]


def test_the_table(pytester):
    """In the order of the numbers, R10 after R2; what failed is marked; a test's several lines all stand.

    Mutations: rows sorted as text; figures of failed tests left out.
    """
    pytester.makepyfile(
        """
        def test_one(figure):
            figure("R10", "0 bad", "0 bad")
            figure("R2", "within 4 s", "3.1 s")

        def test_two(figure):
            figure("R3", "none", "one")
            assert False
        """
    )
    lines = pytester.runpytest("-p", "figures").outlines
    start = next(i for i, line in enumerate(lines) if " figures " in line)
    assert lines[start + 1 : start + 4] == [
        "R2   within 4 s  3.1 s",
        "R3   none        one  FAILED",
        "R10  0 bad       0 bad",
    ]


def test_no_figures_no_table(pytester):
    """Mutation: an empty table at the end of every run."""
    pytester.makepyfile("def test_one(): pass")
    assert not [line for line in pytester.runpytest("-p", "figures").outlines if " figures " in line]
