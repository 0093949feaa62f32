"""Columns that are not plain numbers: from their cells to columns of the model.

Three steps, each in one place for training, diagnosis and scoring:

- ``decoding``: a cell -> its code, a float: the number itself, 1 or 0 for a boolean, days or years
  for a date, the value's position for a category. NaN is a gap.
- ``fitting``: what is learnt from a column's codes: what fills gaps, the bounds of a clip, a median
  and an interquartile range.
- ``deriving``: codes -> the derived columns that the model reads, before they are standardised.
"""
