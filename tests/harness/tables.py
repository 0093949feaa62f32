"""Tables that are read in this process, where the product starts one for each.

To start it takes longer than to read what tests read. That it comes to the same is held by
``tests/table/test_loading.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

_CHILDREN = {
    "party.table": "party.table.loading",
    "party.alignment": "party.alignment.identifiers",
    "party.scoring.joint": "party.scoring.joint",
}
"""Where the answer of each child comes from."""

ASKING = tuple(f"{module}.ask" for module in _CHILDREN.values())


def ask_here(module: str, what: str, path: Path, memory: int, **question: Any) -> dict[str, Any]:
    """In place of ``party.table.apart.ask``: question and answer are JSON as there."""
    asked = json.dumps({"path": str(path), "memory": memory} | question)
    found: dict[str, Any] = import_module(_CHILDREN[module])._answer(json.loads(asked))
    answer: dict[str, Any] = json.loads(json.dumps(found))
    return answer


@contextmanager
def read_here() -> Iterator[None]:
    """Tables are read in this process meanwhile."""
    with ExitStack() as here:
        for asking in ASKING:
            here.enter_context(patch(asking, ask_here))
        yield
