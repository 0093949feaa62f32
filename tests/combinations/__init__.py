"""Random jobs on random tables, run by the product and computed once more in clear."""
