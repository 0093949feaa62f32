"""How good a model is on rows that no training has seen, from counts alone."""
