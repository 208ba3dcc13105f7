"""The pure core: outcomes, statistics, evidence, lessons, levers. No I/O, no clock, no luck, no log."""
