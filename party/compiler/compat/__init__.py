"""tf-encrypted 0.9.1 on current TensorFlow: every shim, with its reason, failing closed.

``load()`` is the only way to tf-encrypted in this package. What it gives draws every mask from our
own native operations, or it raises: there is no way back to TensorFlow's ordinary generator.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn

from party.process.errors import JobError

TENSORFLOW = "2.21"
"""The TensorFlow that this is tested with; tf-encrypted reaches into its inner modules."""
TF_ENCRYPTED = "0.9.1"
"""The tf-encrypted that the shims below are made for."""

LIBRARY = Path(__file__).parents[2] / "native" / "_kernels.so"
"""The native operations for TensorFlow. Speed matters little to them, so that the one that every
processor runs will do; OpenSSL finds the fast instructions for itself."""

_REINSTALL = "install the package again, as its README says"

_loaded: Any = None


def load() -> Any:
    """The module ``tf_encrypted``, ready for use. Called again it gives the same module.

    Raises JobError, with the reason, where TensorFlow or tf-encrypted is missing or of another
    version, where the native library is missing, and where tf-encrypted was imported by others.
    """
    global _loaded
    if _loaded is None:
        _refuse_foreign_import()
        _refuse_other_versions()
        _refuse_missing_library()
        tensorflow = _tensorflow()
        _native_operations()
        _absent_parts()
        with _standing_in({"pkg_resources": _package_resources()}):
            tf_encrypted = _import("tf_encrypted")
        _withhold_insecure_randomness(tensorflow)
        _loaded = tf_encrypted
    return _loaded


def _refuse_foreign_import() -> None:
    """Without us tf-encrypted has bound its insecure generator all over; that cannot be undone."""
    if any(name.partition(".")[0] == "tf_encrypted" for name in sys.modules):
        raise JobError(
            "tf-encrypted was imported with its insecure randomness",
            hint="let party.compiler.compat.load() import it, in a fresh process",
        )


def _refuse_other_versions() -> None:
    _refuse_other_version("tensorflow", _version("tensorflow-cpu", "tensorflow"), TENSORFLOW)
    _refuse_other_version("tf-encrypted", _version("tf-encrypted"), TF_ENCRYPTED)


def _refuse_other_version(name: str, found: str | None, wanted: str) -> None:
    if found is None:
        raise JobError(f"{name} is not installed", hint=_REINSTALL)
    if not f"{found}.".startswith(f"{wanted}."):
        raise JobError(f"{name} is {found}; this package needs {wanted}", hint=_REINSTALL)


def _version(*names: str) -> str | None:
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _refuse_missing_library() -> None:
    if not LIBRARY.is_file():
        raise JobError("the native library for TensorFlow is missing", str(LIBRARY), _REINSTALL)


def _tensorflow() -> Any:
    """TensorFlow, without what it imports only to offer Keras: that takes a third of the time."""
    # Python's own OpenSSL first: loaded after TensorFlow it would call into TensorFlow's BoringSSL,
    # whose functions have the same names.
    importlib.import_module("ssl")
    optional = {"keras", "tf_keras", "h5py", "scipy"} - sys.modules.keys()
    with _standing_in(dict.fromkeys(optional)):
        tensorflow = _import("tensorflow")
    _refuse_other_version("tensorflow", tensorflow.__version__, TENSORFLOW)
    # A constant of TensorFlow's loops, gone since, that tf-encrypted's own loops read: whether the
    # rounds of a loop with state may overlap. They may: its only state is drawing fresh seeds.
    loops: Any = importlib.import_module("tensorflow.python.ops.while_v2")
    loops.glob_stateful_parallelism = True
    return tensorflow


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        # Of what it says only the name: the rest may be pages.
        lacking = f": {error.name} is missing" if error.name else ""
        raise JobError(f"{name} cannot be imported{lacking}", hint=_REINSTALL) from error


@contextmanager
def _standing_in(modules: dict[str, ModuleType | None]) -> Iterator[None]:
    """Modules that stand in for others for a while; None for one that is not to be found."""
    before = {name: sys.modules[name] for name in modules if name in sys.modules}
    sys.modules.update(modules)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in modules:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def _native_operations() -> None:
    """Our operations in the place of the modules that look for the ones built for 2.9.1.

    They stand there before tf-encrypted is imported, so that its own modules, and with them the
    choice of a fallback, are never executed.
    """
    kernels = importlib.import_module("party.compiler.compat.kernels")
    kernels.operations()
    sys.modules["tf_encrypted.operations.secure_random.secure_random"] = importlib.import_module(
        "party.compiler.compat.secure_random"
    )
    sys.modules["tf_encrypted.operations.aux.aux"] = importlib.import_module(
        "party.compiler.compat.bits"
    )


class _Absent(ModuleType):
    """A module of which everything can be imported and nothing used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(f"{self.__name__}.{name}")

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError(f"{self.__name__} is not offered by this package")


def _absent_parts() -> None:
    """What no plan uses, and what it would take more to bring back than it is worth.

    ``convert`` imports a toolchain of TensorFlow 1. ``keras`` stands on Keras 2, and its way of
    training reveals each batch's loss. The others look for native operations of their own: integers
    of 128 bits, and records written to files, which have no place in a protocol's graph.
    """
    for name in (
        "convert",
        "keras",
        "operations.tf_i128.tf_i128",
        "operations.dataset.write_record",
    ):
        name = f"tf_encrypted.{name}"
        sys.modules[name] = _Absent(name)


def _package_resources() -> Any:
    """``pkg_resources``, asked for tf-encrypted's own version alone, and gone from setuptools."""
    module: Any = ModuleType("pkg_resources")
    module.DistributionNotFound = importlib.metadata.PackageNotFoundError
    module.get_distribution = lambda project: SimpleNamespace(
        version=importlib.metadata.version(project),
        location=str(importlib.metadata.distribution(project).locate_file("")),
    )
    return module


class _WithoutRandom(ModuleType):
    """TensorFlow, without its ordinary random generators."""

    def __init__(self, tensorflow: Any) -> None:
        super().__init__("tensorflow")
        self.__dict__["_tensorflow"] = tensorflow

    def __getattr__(self, name: str) -> Any:
        if name.startswith("random"):
            raise JobError("tf-encrypted asked for insecure randomness")
        return getattr(self._tensorflow, name)


def _withhold_insecure_randomness(tensorflow: Any) -> None:
    """The second wall: wherever tf-encrypted says ``tf.random``, it gets an error instead."""
    withheld = _WithoutRandom(tensorflow)
    for name, module in list(sys.modules.items()):
        if name.startswith("tf_encrypted.") and getattr(module, "tf", None) is tensorflow:
            vars(module)["tf"] = withheld
