"""Scores of rows whose columns no party has all of, by a model that one party has."""
