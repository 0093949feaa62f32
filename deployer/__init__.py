"""What an operator runs to prepare, start and watch a job; needs no TensorFlow."""
