"""How three organisations that have nothing in common yet come to one job, by small files."""

from deployer.joining.agreed import Agreement, agreement
from deployer.joining.folder import Folder
from deployer.joining.introduction import Introduced, Introduction
from deployer.joining.terms import computed, revealed

__all__ = [
    "Agreement",
    "Folder",
    "Introduced",
    "Introduction",
    "agreement",
    "computed",
    "revealed",
]
