"""tf-encrypted 0.9.1 as published: the reference job as a program for it."""
