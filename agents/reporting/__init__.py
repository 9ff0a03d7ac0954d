"""Reports over finished runs: statistics, tables, curves, memory horizons, commands, one page."""
