"""Figures of the torture tests: what was asked, what was reached; told in one table at the end of a run.

A test takes the fixture `figure` and says, before it asserts:

    figure("R1", "20 of 20 replaced", f"{replaced} of 20")
"""

import pytest

FIGURE = "figure"


@pytest.fixture
def figure(request):
    """Notes (number of the fault, goal, what was reached); a test may note several."""

    def note(number, goal, reached):
        request.node.user_properties.append((FIGURE, (number, goal, reached)))

    return note


def pytest_terminal_summary(terminalreporter):
    """Prints the table, in the order of the numbers."""
    rows = [
        (*row, outcome)
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call"
        for name, row in report.user_properties
        if name == FIGURE
    ]
    if not rows:
        return
    rows.sort(key=lambda row: (int(row[0].lstrip("R")), row))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    terminalreporter.section("figures")
    for number, goal, reached, outcome in rows:
        line = f"{number:<{widths[0]}}  {goal:<{widths[1]}}  {reached}"
        terminalreporter.write_line(line if outcome == "passed" else f"{line}  FAILED")
