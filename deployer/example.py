"""The example that comes with the package."""

from __future__ import annotations

from pathlib import Path

EXAMPLE = Path(__file__).parent / "examples" / "fraud"
"""The walk-through's job and its tables."""
