"""Rooms import downwards only: what a layer may use lies below it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from party.models.parameters import ModelName
from party.protocols.registry import ProtocolName

ROOT = Path(__file__).resolve().parents[1]
KITS = ("party", "deployer")

LAYERS: tuple[tuple[str, ...], ...] = (
    ("deployer.cli",),
    ("deployer.commands", "deployer.python"),
    ("deployer.console", "deployer.doctor", "deployer.report"),
    ("deployer.cluster", "deployer.estimate", "deployer.joining", "deployer.local"),
    ("deployer.certs", "deployer.example", "deployer.manifests"),
    ("party.__main__",),
    ("party.cli",),
    ("party.life",),
    ("party.runtime", "party.scoring"),
    ("party.compiler",),
    ("party.reporting", "party.channel", "party.checkpoints"),
    ("party.audit", "party.schedule"),
    ("party.meaning",),
    ("party.plan",),
    ("party.alignment",),
    ("party.table",),
    ("party.approval",),
    ("party.native", "party.identity"),
    ("party.agreement",),
    ("party.models",),
    ("party.protocols",),
    ("party.process",),
)
"""From the top; rooms of one layer do not import each other."""

BENEATH_ALL = {
    "party.native.instructions",
    "party.agreement.limits",
    "party.agreement.parties",
}
"""Lists of words and numbers, which import nothing and which every layer may read."""


def imported(path: Path, text: str) -> Iterator[str]:
    """The modules that a file imports when it runs, in functions too."""
    tree = ast.parse(text)
    for node in list(ast.walk(tree)):
        # What only a type checker reads is no import.
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> str | None:
    """The room of a module, by the first two parts of its name."""
    if module.split(".")[0] == "tfe_kit":  # which has its place in the deployer
        return "deployer.python"
    name = ".".join(module.split(".")[:2])
    return name if any(name in layer for layer in LAYERS) else None


def upward(path: Path, text: str) -> list[str]:
    """The imports of a file that do not go downwards."""
    depth = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    here = room(module.removesuffix(".__init__"))
    if here is None:
        return []
    wrong = []
    for name in imported(path, text):
        there = room(name)
        if there in (None, here) or any(name.startswith(one) for one in BENEATH_ALL):
            continue
        if depth[str(there)] <= depth[here]:
            wrong.append(f"{module} imports {name}")
    return wrong


def sources(package: str) -> Iterator[Path]:
    yield from sorted((ROOT / package).rglob("*.py"))


def test_every_room_has_its_layer() -> None:
    rooms = {
        f"{kit}.{path.stem}" for kit in KITS for path in (ROOT / kit).iterdir() if _is_room(path)
    }
    assert rooms == {name for layer in LAYERS for name in layer}


def _is_room(path: Path) -> bool:
    if path.is_dir():
        return not path.is_symlink() and any(path.rglob("*.py"))
    return path.suffix == ".py" and path.stem != "__init__"


def test_no_import_goes_upwards() -> None:
    found = [
        line for kit in KITS for path in sources(kit) for line in upward(path, path.read_text())
    ]
    assert found == []


def test_the_kit_imports_neither_its_tests_nor_its_bench_and_the_bench_no_tests() -> None:
    above = {"deployer": ("tests", "bench"), "party": ("tests", "bench"), "bench": ("tests",)}
    for package, names in above.items():
        for path in sources(package):
            assert not {n.split(".")[0] for n in imported(path, path.read_text())} & {*names}, path


@pytest.mark.parametrize(
    ("file", "planted"),
    [
        ("party/plan/cut.py", "import party.runtime.sealed"),
        ("party/plan/cut.py", "from party.schedule import verify"),
        ("party/plan/cut.py", "def late():\n    from party.audit.flow import Flows"),
        ("party/cli.py", "from deployer import console"),
        ("deployer/doctor/rights.py", "from deployer.commands.apply import rehearse"),
        ("deployer/manifests/render.py", "def late():\n    from deployer.cluster import target"),
        ("deployer/local/run.py", "from tfe_kit import Party"),
        ("deployer/python/tfe_kit/trial.py", "import deployer.commands.run"),
    ],
)
def test_a_planted_import_is_found(file: str, planted: str) -> None:
    path = ROOT / file
    assert upward(path, f"{path.read_text()}\n{planted}\n")


def test_an_import_downwards_is_none_that_is_found() -> None:
    path = ROOT / "party/plan/cut.py"
    assert not upward(path, "from party.process.errors import JobError")
    harmless = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import party.runtime"
    assert not upward(path, harmless)


def test_the_image_takes_every_folder_of_the_kit() -> None:
    """Docker looks into no folder that its ignore file does not name."""
    named = set((ROOT / ".dockerignore").read_text().splitlines())
    folders = {path.parent.relative_to(ROOT) for kit in KITS for path in sources(kit)}
    assert {f"!{folder.as_posix()}/*.py" for folder in folders} <= named


def names_of_plug_ins(text: str) -> Iterator[str]:
    """The names of models and protocols that a file asks for; a default is no question."""
    names = {*get_args(ModelName), *get_args(ProtocolName)}
    tree = ast.parse(text)
    defaults = {
        id(keyword.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "default"
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in names and id(node) not in defaults:
            yield str(node.value)


def test_nothing_but_its_folder_and_the_registry_knows_a_model_or_a_protocol_by_name() -> None:
    named = {
        str(path.relative_to(ROOT)): found
        for path in (ROOT / "party").rglob("*.py")
        if path.relative_to(ROOT).parts[1] not in ("models", "protocols")
        and (found := list(names_of_plug_ins(path.read_text(encoding="utf-8"))))
    }
    assert named == {}


def test_a_planted_name_is_found() -> None:
    asks = 'if job.parameters.kind == "linear-regression" or job.protocol in ("aby3",): pass'
    assert list(names_of_plug_ins(asks)) == ["linear-regression", "aby3"]
    assert not list(names_of_plug_ins('protocol: str = Field(default="pond")'))
