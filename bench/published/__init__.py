"""tf-encrypted 0.9.1 as published: its environment, and the reference job as a program for it."""
