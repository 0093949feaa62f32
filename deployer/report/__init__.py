"""A run as one page that can be printed and kept: HTML without scripts and network."""

from deployer.report.page import Run, page

__all__ = ["Run", "page"]
