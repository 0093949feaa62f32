"""Whatever bytes a stranger, a peer or a certificate brings: nothing breaks, hangs or is believed.

The fuzz targets say what must come of each input, and the sanitizers watch. Here the corpus that a
long search left is replayed and mutated for a while; ``make fuzz`` searches on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.attacks.conftest import Tried
from tests.attacks.fuzzing import NATIVE, TARGETS, Target, mutate, prepare

INPUTS = {"frames": 60_000, "handshake": 3_000, "identity": 6_000}
SEED = 5


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("fuzz")
    prepare(directory)
    return directory


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_input_breaks_a_parser(target: Target, workshop: Path, tried: Tried) -> None:
    assert len(target.corpus.read_text().split()) >= 20, "the corpus is lost"
    inputs = INPUTS[target.name]
    assert mutate(target, workshop, inputs, SEED) == inputs
    tried(inputs, f"inputs to the parser of {target.name}, under the sanitizers")


@dataclass(frozen=True)
class Planted:
    """An error put into a copy of the product's source."""

    target: str
    right: str
    wrong: str


PLANTED = (
    Planted("frames", "memcmp(&got, &expected, FRAME) != 0", "got.key != expected.key"),
    Planted("frames", "at ? bytes : p->capacity - at;", "at ? bytes : bytes;"),
    Planted("handshake", "return (int64_t)got;", "return capacity;"),
    Planted("identity", "length(uri) >= capacity", "length(uri) > capacity"),
    Planted("identity", "found != 1", "found < 1"),
)


@pytest.mark.slow
@pytest.mark.parametrize("planted", PLANTED, ids=lambda one: f"{one.target}: {one.right}")
def test_a_planted_error_is_found(planted: Planted, workshop: Path) -> None:
    (target,) = (one for one in TARGETS if one.name == planted.target)
    text = (NATIVE / target.source).read_text()
    assert text.count(planted.right) == 1
    source = workshop / target.source
    source.write_text(text.replace(planted.right, planted.wrong))
    with pytest.raises(AssertionError, match=r"not so|AddressSanitizer"):
        mutate(target, workshop, INPUTS[target.name], SEED, source=source)
