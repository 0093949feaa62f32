"""Measures the kit beside tf-encrypted as published: same job, same machine, turn by turn."""
