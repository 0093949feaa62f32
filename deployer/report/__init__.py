"""A run as one page that can be printed and kept: HTML without scripts and network."""

from deployer.report.page import page
from deployer.report.run import Run

__all__ = ["Run", "page"]
