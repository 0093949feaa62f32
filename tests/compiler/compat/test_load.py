"""tf-encrypted comes with native randomness or not at all."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.harness.plans import compiled

pytestmark = pytest.mark.slow

PREAMBLE = """
import importlib.metadata, sys, types
from pathlib import Path
from party.compiler import compat
from party.process.errors import JobError

def pretend(**versions):
    found = importlib.metadata.version
    def version(name):
        answer = versions.get(name.replace("-", "_"), ...)
        if answer is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found(name) if answer is ... else answer
    importlib.metadata.version = version
"""

LOAD = """
try:
    compat.load()
except JobError as error:
    print(error)
    assert "tf_encrypted.protocol" not in sys.modules
else:
    print("loaded")
"""

REFUSALS = {
    "tf-encrypted imported by others": (
        "sys.modules['tf_encrypted'] = types.ModuleType('tf_encrypted')",
        "tf-encrypted was imported with its insecure randomness",
    ),
    "a part of tf-encrypted imported by others": (
        "sys.modules['tf_encrypted.tensor'] = types.ModuleType('tf_encrypted.tensor')",
        "tf-encrypted was imported with its insecure randomness",
    ),
    "no TensorFlow": (
        "pretend(tensorflow=None, tensorflow_cpu=None)",
        "tensorflow is not installed",
    ),
    "an older TensorFlow": (
        "pretend(tensorflow_cpu='2.20.0')",
        "tensorflow is 2.20.0; this package needs 2.21",
    ),
    "a TensorFlow whose number only begins alike": (
        "pretend(tensorflow_cpu='2.210.0')",
        "tensorflow is 2.210.0; this package needs 2.21",
    ),
    "another TensorFlow in its place": (
        "fake = types.ModuleType('tensorflow'); fake.__version__ = '2.15.1';"
        "sys.modules['tensorflow'] = fake",
        "tensorflow is 2.15.1; this package needs 2.21",
    ),
    "a TensorFlow that lacks something": (
        "sys.modules['tensorflow'] = None",
        "tensorflow cannot be imported: tensorflow is missing",
    ),
    "no tf-encrypted": ("pretend(tf_encrypted=None)", "tf-encrypted is not installed"),
    "another tf-encrypted": (
        "pretend(tf_encrypted='0.8.0')",
        "tf-encrypted is 0.8.0; this package needs 0.9.1",
    ),
    "no native library": (
        "compat.LIBRARY = Path('/nowhere/_kernels.so')",
        "the native library for TensorFlow is missing\n  where: /nowhere/_kernels.so",
    ),
}


@pytest.mark.parametrize(("preparation", "text"), REFUSALS.values(), ids=REFUSALS.keys())
def test_it_refuses(preparation: str, text: str) -> None:
    script = "\n".join((PREAMBLE, preparation, LOAD))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert text in done.stdout
    assert "do: " in done.stdout


def refusal_of(library: bytes | None) -> str:
    import _ctypes
    import tempfile
    from pathlib import Path

    from party.compiler import compat
    from party.compiler.compat import kernels
    from party.process.errors import JobError

    with tempfile.NamedTemporaryFile() as file, pytest.MonkeyPatch.context() as patch:
        file.write(library or b"")
        file.flush()
        patch.setattr(compat, "LIBRARY", Path(file.name if library else _ctypes.__file__))
        with pytest.raises(JobError) as refusal:
            kernels.operations.__wrapped__()
    return refusal.value.what


def test_it_refuses_a_damaged_library() -> None:
    assert compiled(refusal_of, b"x" * 100) == "TensorFlow cannot load the native library"


def test_it_refuses_a_library_without_the_operations() -> None:
    assert compiled(refusal_of, None) == "the native library lacks kit_seed"


def loaded_twice() -> tuple[bool, str]:
    from party.compiler import compat

    first = compat.load()
    return compat.load() is first, first.__version__


def test_it_loads_once() -> None:
    assert compiled(loaded_twice) == (True, "0.9.1")


def insecure_sources() -> dict[str, str]:
    """Every module of tf-encrypted, loaded or not, that names TensorFlow's random generators, and
    what it gets when it asks for them."""
    import ast
    import importlib
    from pathlib import Path

    import tf_encrypted

    def names_random(source: str) -> bool:
        return any(
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "tf"
            and node.attr.startswith("random")
            for node in ast.walk(ast.parse(source))
        )

    root = Path(tf_encrypted.__file__).parent
    answers = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root.parent).with_suffix("").parts
        if parts[-1].endswith("_test") or parts[1] in ("convert", "keras"):
            continue  # not part of what load() gives; the tests draw their own examples
        if names_random(path.read_text()):
            module = importlib.import_module(".".join(parts))
            try:
                answers[module.__name__] = repr(module.tf.random)
            except Exception as error:
                answers[module.__name__] = str(error)
    return answers


def test_the_ways_to_insecure_randomness_are_walled_up() -> None:
    answers = compiled(insecure_sources)
    assert {"tf_encrypted.tensor.native", "tf_encrypted.protocol.aby3.aby3"} <= answers.keys()
    assert set(answers.values()) == {"tf-encrypted asked for insecure randomness"}


def drawn_by_the_factories() -> set[str]:
    import tensorflow as tf
    from tf_encrypted.protocol.securenn.odd_tensor import oddint64_factory
    from tf_encrypted.tensor import factories, int100factory, native_factory

    with tf.Graph().as_default() as graph:
        seed = tf.constant([1] * 8)
        for bits in (8, 16, 32, 64):
            factories[bits].sample_uniform([3])
            factories[bits].sample_seeded_uniform([3], seed)
            factories[bits].sample_bounded([3], 5)
            factories[bits].sample_bits([3])
        factories[1].sample_uniform([3])
        factories[1].sample_seeded_uniform([3], seed)
        native_factory(tf.int32, 107).sample_uniform([3])
        int100factory.sample_uniform([3])
        int100factory.sample_bounded([3], 70)
        assert oddint64_factory.sample_uniform([3]).value.shape == [3]
        return {op.type for op in graph.get_operations()}


def test_every_factory_draws_from_our_operations() -> None:
    kinds = compiled(drawn_by_the_factories)
    assert {"KitSeed", "KitUniform"} <= kinds
    assert not {kind for kind in kinds if "Random" in kind or "Stateless" in kind}


def modules_in_place() -> dict[str, str]:
    import sys

    return {
        name: str(getattr(sys.modules[name], "__file__", None))
        for name in (
            "tf_encrypted.operations.secure_random.secure_random",
            "tf_encrypted.operations.aux.aux",
        )
    }


def test_the_modules_that_choose_a_fallback_were_never_executed() -> None:
    files = list(compiled(modules_in_place).values())
    assert files[0].endswith("party/compiler/compat/secure_random.py")
    assert files[1].endswith("party/compiler/compat/bits.py")


def what_is_left_out() -> dict[str, str]:
    import numpy as np
    import tf_encrypted as tfe
    from tf_encrypted.operations import secure_random
    from tf_encrypted.tensor import int128factory

    def why(use: object) -> str:
        try:
            use()  # type: ignore[operator]
        except NotImplementedError as error:
            return str(error)
        return "it works"

    return {
        "keras": why(lambda: tfe.keras.Sequential()),
        "convert": why(lambda: tfe.convert.Converter()),
        "128 bits": why(lambda: int128factory.constant(np.array(1))),
        "128 random bits": why(lambda: secure_random.i128_random_uniform([1], 0, 1)),
        "files": why(lambda: tfe.operations.dataset.write_record("x", "y")),
    }


def test_what_is_left_out_says_so() -> None:
    answers = compiled(what_is_left_out)
    for part, answer in answers.items():
        assert "not offered" in answer or "no integers of 128 bits" in answer, part
