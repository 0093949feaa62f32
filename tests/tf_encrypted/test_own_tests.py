"""tf-encrypted's own tests, those that its wheel carries, on the TensorFlow and the native
operations of this package: the protocols, the types of tensors, random numbers and bits.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tf_encrypted.runner import Outcome

pytestmark = pytest.mark.slow

MODULES = (
    "operations.aux.aux_test",
    "operations.secure_random.secure_random_test",
    "protocol.aby3.aby3_test",
    "protocol.ops_test",
    "protocol.pond.pond_test",
    "protocol.pond.queues_test",
    "protocol.securenn.odd_tensor_test",
    "protocol.securenn.securenn_test",
    "tensor.int100_test",
    "tensor.native_int32_test",
    "tensor.native_int64_test",
    "tensor.native_prime_test",
)

OTHER_GENERATOR = (
    "knows the answers of libsodium's generator; tests/compiler/compat knows those of ours"
)
NO_KERAS = "wants tf-encrypted's Keras, which the package leaves out"
NO_FILES = "wants an operation that writes files, and the package has none"

CANNOT_PASS = {
    "operations.secure_random.secure_random_test.TestSeededRandom.test_wrapper": OTHER_GENERATOR,
    "operations.secure_random.secure_random_test.TestSeededRandom.test_min_val": OTHER_GENERATOR,
    "protocol.aby3.aby3_test.TestABY3.test_read_private": NO_FILES,
    "protocol.aby3.aby3_test.TestABY3.test_write_private": NO_FILES,
    "protocol.ops_test.TestConv2D.test_forward": NO_KERAS,
    "protocol.ops_test.TestConv2D.test_forward_bias": NO_KERAS,
}


def own_tests() -> Iterator[str]:
    """The names of all tests in the modules, read from their source: TensorFlow stays outside."""
    found = importlib.util.find_spec("tf_encrypted")
    assert found is not None and found.origin is not None
    for module in MODULES:
        path = Path(found.origin).parent.joinpath(*module.split(".")).with_suffix(".py")
        for case in ast.parse(path.read_text()).body:
            if isinstance(case, ast.ClassDef):
                for test in case.body:
                    if isinstance(test, ast.FunctionDef) and test.name.startswith("test"):
                        yield f"{module}.{case.name}.{test.name}"


def marked(name: str) -> object:
    marks: list[pytest.MarkDecorator] = []
    if name in CANNOT_PASS:
        marks.append(pytest.mark.xfail(reason=CANNOT_PASS[name], strict=True))
    return pytest.param(name, marks=marks)


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[Iterator[Outcome]]:
    """The outcomes of the tests that were asked for, in their order, as they come."""
    here = request.node.nodeid
    names = [
        item.callspec.params["name"]  # type: ignore[attr-defined]
        for item in request.session.items
        if item.nodeid.startswith(f"{here}::test_it_passes[")
    ]
    command = [sys.executable, "-m", "tests.tf_encrypted.runner", *names]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield (Outcome(**json.loads(line)) for line in process.stdout)
        process.kill()


@pytest.mark.drawn
@pytest.mark.parametrize("name", [marked(one) for one in own_tests()])
def test_it_passes(outcomes: Iterator[Outcome], name: str) -> None:
    outcome = next(outcomes, None)
    assert outcome is not None, "the process that runs the tests died"
    assert outcome.name == name
    if outcome.result == "skipped":
        pytest.skip(f"tf-encrypted skips it: {outcome.text}")
    assert outcome.result == "passed", outcome.text


def test_the_list_of_those_that_cannot_pass_names_tests() -> None:
    assert set(own_tests()) >= CANNOT_PASS.keys()
