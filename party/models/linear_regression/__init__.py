"""Linear regression: the label is a weighted sum, by least squares."""
