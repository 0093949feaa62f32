"""Models that were never trained: numbers in the form that a run leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from party.process.files import replace_json


def document(width: int = 3, kind: str = "logistic-regression", **more: Any) -> dict[str, Any]:
    """A model of Alice's columns ``c0``, ``c1``, …"""
    random = np.random.default_rng(width)
    return {
        "model": kind,
        "job": "0" * 64,
        "plan": "1" * 64,
        "protocol": "pond",
        "versions": {},
        "features": [f"c{i}" for i in range(width)],
        "holders": ["alice"] * width,
        "mean": random.normal(0, 3, width).tolist(),
        "scale": random.uniform(0.1, 4, width).tolist(),
        "weights": random.normal(0, 2, width).tolist(),
        "intercept": -0.7,
        "health": {
            "rows": 9,
            "rows_never_used": 0,
            "steps": 1,
            "largest_weight": 1.0,
            "all_columns": True,
        },
    } | more


def written(directory: Path, **more: Any) -> Path:
    """Such a model in a file."""
    path = directory / "model.json"
    replace_json(path, document(**more))
    return path


def rows(count: int, features: int = 3, seed: int = 0) -> Any:
    """Rows for it, some of them far out, [count, features]."""
    random = np.random.default_rng(seed)
    return random.standard_t(2, (count, features)) * 4
