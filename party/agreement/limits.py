"""What all parties may rely on in each other's tables, without seeing them."""

LIMIT = 1024.0
"""The largest magnitude of a value as it is read from a table, standardised: what the 10 bits that
``fixed64_ni`` has before the point can hold. A table with a larger one is refused before anything
runs, so that no step can fail on one. With ``n`` rows none can be larger than the root of
``n - 1``."""

ANCHORS = 2
ANCHOR_PASSES = 8
"""Of each, the first over all rows and the others over the sample: enough to arrive where its
correction leads to, few enough that a direction which it misses does not run away."""

BALANCED = "balanced"
"""The weights of classes by which all rows of each class weigh half of all rows: what the job says
in their place, since they follow from the label."""

MOST_ROWS = 2**31 - 1
"""Of a table that is to be aligned: their places are sent as 32 bits."""
