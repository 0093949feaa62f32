"""What all parties may rely on in each other's tables, without seeing them."""

LIMIT = 1024.0
"""The largest magnitude of a value as it is read from a table, standardised: what the 10 bits that
``fixed64_ni`` has before the point can hold. A table with a larger one is refused before anything
runs, so that no step can fail on one. With ``n`` rows none can be larger than the root of
``n - 1``."""
