"""OpenMined's PSI: which identifiers two tables have in common, as a program for it."""
