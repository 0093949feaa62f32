"""Wrong input is refused with what to do about it, wherever that happens.

What an error says is tested where it is raised. That it never lacks a hint is seen in the source,
since nobody tries each of them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

WATCHED = ("party", "deployer")
"""Folders and files in which no InputError lacks a hint."""


def sources(watched: str) -> Iterator[Path]:
    path = ROOT / watched
    assert path.exists(), path
    yield from [path] if path.is_file() else sorted(path.rglob("*.py"))


def without_hint(text: str) -> Iterator[int]:
    """The lines in which an InputError, or an error of a kind of it, is made without a hint."""
    tree = ast.parse(text)
    kinds = {"InputError"}
    makes = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and {_name(base) for base in node.bases} & kinds:
            own = [one for one in node.body if getattr(one, "name", "") == "__init__"]
            makes += [one for way in own for one in ast.walk(way) if _is_super(one)]
            if not own:
                kinds.add(node.name)
    makes += [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) in kinds
    ]
    for node in makes:
        assert isinstance(node, ast.Call)
        given = [word.value for word in node.keywords if word.arg == "hint"]
        given += node.args[2:3] or [one for one in node.args if isinstance(one, ast.Starred)]
        if not given or any(_may_be_nothing(value) for value in given):
            yield node.lineno


def _is_super(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "super().__init__"


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _may_be_nothing(value: ast.expr) -> bool:
    if isinstance(value, ast.IfExp):
        return _may_be_nothing(value.body) or _may_be_nothing(value.orelse)
    return isinstance(value, ast.Constant) and not value.value


@pytest.mark.parametrize("watched", WATCHED)
def test_every_refusal_of_an_input_says_what_to_do(watched: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sources(watched)
        for line in without_hint(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "planted",
    [
        "raise InputError('wrong')",
        "raise InputError('wrong', 'here')",
        "raise errors.InputError('wrong', where='here')",
        "raise InputError('wrong', 'here', None)",
        "raise InputError('wrong', hint='')",
        "raise InputError('wrong', 'here', 'mend it' if near else None)",
        "class Worse(InputError): ...\nraise Worse('wrong', 'here')",
        "class W(InputError):\n  def __init__(self, w): super().__init__(w, 'here')",
    ],
)
def test_a_planted_error_without_a_hint_is_found(planted: str) -> None:
    assert list(without_hint(planted))
    assert not list(without_hint("raise InputError('wrong', 'here', 'mend it')"))
