"""What can be trained: for each model a plan builder, a plaintext twin and the order of its rows.

``graph`` modules need TensorFlow and are imported only by the builder.
"""
