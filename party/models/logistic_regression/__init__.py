"""Logistic regression: the probability of label 1 is the sigmoid of a weighted sum."""
