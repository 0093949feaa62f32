"""Inputs made from grammars, for the readers of what people write: jobs, values, hosts maps, tables
and manifests. (The parsers of what peers and strangers send are fuzzed in ``tests/attacks``.)

An input follows from the seed, the reader's name and its number alone. ``python -m tests.fuzz``
makes a million of them, and says how to make the one again that broke a claim.
"""
