"""What can be trained: for each model a plan builder and a plaintext reference.

``graph`` modules need TensorFlow and are imported only by the builder.
"""
