"""What can be trained: one folder a model.

A model has its parameters in the job, its demands on the label, its programs over shares, its
result and its plaintext reference. It knows nothing of how secrets are shared. Nothing outside
this package names a model, but ``registry``; the rest is in ``interface``.

Nothing is imported here: the process that reads a table needs ``label`` alone, and starts sooner
without pydantic.
"""
