"""The audit: a static check of a plan's flow of information, without TensorFlow."""

from party.audit.audit import Report, Revealed, audit
from party.audit.view import View

__all__ = ["Report", "Revealed", "View", "audit"]
