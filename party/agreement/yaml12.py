"""YAML as its version 1.2 reads it (the core schema), within limits.

The structure comes from PyYAML's parser, which is libyaml's: events, one after the other. PyYAML's
loaders are not used. They read YAML 1.1 (``yes`` is true, ``010`` is 8, ``1:20`` is 80), they let
lists be keys and tags make objects, they recurse, and they expand aliases without a limit. What
they would do is done here, with a stack of our own and a limit for everything. (ruamel.yaml reads
1.2, but only in Python, recursively and without limits, and takes some forty times as long.)

Refused, with line and column: more than one document, tags, keys that are not text or stand twice,
characters that YAML does not allow or that its versions do not agree on, control characters in a
text, numbers that nothing can hold, and whatever is larger or deeper than the limits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from party.agreement.text_file import check_size, read_text
from party.process.errors import InputError, printable

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MOST_NODES = 50_000
"""Keys, values and lists, with each alias counted as what it stands for."""

MOST_DEPTH = 32
"""Mappings and lists inside of each other."""

MOST_CHARACTERS = 4 * 1024 * 1024
"""Of all texts together, with each alias counted as what it stands for."""

MOST_DIGITS = 400
"""Characters of a number. A float64 has at most 309 digits before its point."""

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # for its parser alone

# YAML 1.2.2, chapter 10.3.2.
_NULL = re.compile(r"|~|null|Null|NULL")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+", re.ASCII)
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_INFINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_NAN = re.compile(r"\.(nan|NaN|NAN)")

# What helm's reader (YAML 1.1, as Go has it) takes for something else than YAML 1.2 does.
_HELM_BOOLEAN = re.compile(r"(?i:y|yes|on|n|no|off)")
_HELM_NUMBER = re.compile(r"[-+]?0[0-9]+|[-+]?0b[01]+|[-+.0-9][-+.0-9a-fA-FxXoO]*_[-+.0-9a-fA-F_]*")

_FORBIDDEN = re.compile("[^\t\n\r -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_ENDS = "\x85\u2028\u2029"  # in YAML 1.1, and so in libyaml; not in 1.2
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LINES = re.compile("\r\n|\r|\n")

_Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """What a YAML text says, and where it says it.

    Attributes:
        value: mappings, lists, texts, numbers, booleans and None.
        name: of the file.
        places: line and column, from 1, of each value by its keys and positions. What came by an
            alias or a merge key has none of its own.
    """

    value: Any
    name: str
    places: Mapping[_Path, tuple[int, int]] = field(default_factory=dict)

    def path(self, location: Sequence[str | int]) -> _Path:
        """A location without the parts that the document does not have: pydantic puts the names of
        types between the keys."""
        path: list[str | int] = []
        value = self.value
        for part in location:
            if isinstance(value, Mapping):
                there = part in value
            else:
                there = isinstance(value, list) and isinstance(part, int) and part < len(value)
            if there:
                path.append(part)
                value = value[part]
        return tuple(path)

    def place(self, location: Sequence[str | int] = ()) -> str:
        """File, line and column of a value, or of what it would stand in."""
        path = self.path(location)
        while path and path not in self.places:
            path = path[:-1]
        if not path:
            return self.name
        line, column = self.places[path]
        return f"{self.name}, line {line}, column {column}"


def read_yaml(text: str, name: str, of: str, *, also_helm: bool = False) -> Document:
    """What a YAML text says. An empty one says None.

    Args:
        text: the YAML.
        name: of the file, for errors.
        of: what it is, for errors: "the job".
        also_helm: whether helm reads the same file. Then whatever helm would take for something
            else is refused, and merge keys (``<<``), which helm knows, are taken.

    Raises:
        InputError: with line and column, for whatever cannot be read; see above.
    """
    return _Reader(text, name, of, also_helm).read()


def load_yaml(path: Path, of: str, *, also_helm: bool = False) -> Document:
    """What a YAML file says; see ``read_yaml``."""
    return read_yaml(read_text(path, of), str(path), of, also_helm=also_helm)


def write_yaml(value: Any, indent: int | None = None) -> str:
    """A JSON value as YAML that ``read_yaml`` reads back: it is JSON, but for the characters that
    end a line in some versions of YAML."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


@dataclass(frozen=True)
class Refused:
    """A value that a model refused, for people."""

    path: _Path
    message: str
    hint: str


def refused(errors: Sequence[ErrorDetails], document: Document) -> Refused:
    """The one error of a model to show, out of all that pydantic tells, inputs included.

    A misspelt key is also a missing one, and the misspelling is what helps. Of types of which one
    would do, what is refused deepest inside of the value is what was meant.
    """

    def path_of(error: ErrorDetails) -> _Path:
        path = document.path(error["loc"])
        return (*path, error["loc"][-1]) if error["type"] == "missing" else path

    first = min(errors, key=lambda error: error["type"] != "extra_forbidden")
    if first["type"] != "extra_forbidden" and first["loc"]:
        alike = [error for error in errors if error["loc"][:1] == first["loc"][:1]]
        first = max(alike, key=lambda error: len(path_of(error)))
    message, hint = _words(first)
    if first["type"] == "value_error" and not first["loc"]:
        # What keys say together is refused in the name of one of them, which has a place.
        key, _, rest = message.partition(": ")
        parts = tuple(key.split("."))
        if rest and document.path(parts) == parts:
            return Refused(parts, rest, hint)
    return Refused(path_of(first), message, hint)


_HINTS = {
    "bool_type": "write true or false, without quotes",
    "int_type": "write a whole number such as 1000, without quotes, units or separators",
    "int_from_float": "write a whole number such as 1000",
    "float_type": "write a number such as 0.25, without quotes, units or separators",
    "finite_number": "write a finite number",
    "missing": "add the key",
    "literal_error": "write one of these",
    "union_tag_invalid": "write one of these",
    "union_tag_not_found": "add this key",
    "string_too_long": "write a shorter one",
    "string_too_short": "write a longer one",
    "too_short": "add to the list",
    "too_long": "take some out of the list",
    "tuple_type": "write a list: [a, b]",
    "dict_type": "write keys and values below it",
    "model_type": "write keys and values below it",
    "greater_than": "write a larger number",
    "greater_than_equal": "write a larger number",
    "less_than": "write a smaller number",
    "less_than_equal": "write a smaller number",
    "extra_forbidden": "take it out",
}


def _words(error: ErrorDetails) -> tuple[str, str]:
    kind, value = error["type"], error.get("input")
    message = error["msg"].removeprefix("Value error, ")
    if kind == "string_type" and (value is None or isinstance(value, bool | int | float)):
        found = "null" if value is None else "a boolean" if isinstance(value, bool) else "a number"
        return f"{found}, where a text is wanted", 'put it into quotes ("…")'
    if kind == "string_pattern_mismatch":
        pattern = str(error.get("ctx", {}).get("pattern", ""))
        if not pattern.isprintable():
            return "the text has a character that cannot be shown", "take it out"
        return f"the text does not match {pattern}", "write it with these characters alone"
    if kind == "extra_forbidden":
        message = "unknown key"
    if kind == "value_error":
        return message, "change it, or what it does not agree with"
    return message, _HINTS.get(kind, "write what is asked for there")


@dataclass
class _Frame:
    """A mapping or list that is not at its end yet."""

    value: dict[str, Any] | list[Any]
    path: _Path
    anchor: str | None
    nodes: int
    characters: int
    key: str | None = None
    keys: dict[str, int] = field(default_factory=dict)
    merged: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class _Anchored:
    """What an alias stands for, and how much that is."""

    value: Any
    nodes: int
    characters: int
    depth: int


_MERGE = "<<"


class _Reader:
    def __init__(self, text: str, name: str, of: str, also_helm: bool) -> None:
        self._text = text.removeprefix("\ufeff")
        self._name = name
        self._of = of
        self._also_helm = also_helm
        self._stack: list[_Frame] = []
        self._depth_of: dict[int, int] = {}
        self._anchors: dict[str, _Anchored] = {}
        self._places: dict[_Path, tuple[int, int]] = {}
        self._nodes = self._characters = 0
        self._value: Any = None

    def read(self) -> Document:
        check_size(len(self._text.encode("utf-8", "surrogatepass")), self._of, self._name)
        self._check_characters()
        documents = 0
        for event in self._events():
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    hint = "keep one, and take out the line --- before the others"
                    raise self._refusal("there is more than one document", event, hint)
                if event.version not in (None, (1, 2)):
                    hint = "take the line %YAML out: it is read as YAML 1.2"
                    raise self._refusal("it is said to be of another version", event, hint)
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._start(event)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self._end(event)
        return Document(self._value, self._name, self._places)

    def _events(self) -> Iterator[Any]:
        try:
            yield from yaml.parse(self._text, Loader=_PARSER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise self._syntax(error, mark) from None
        except yaml.YAMLError:
            hint = "write it as in docs/jobs.md"
            raise InputError(f"cannot read {self._of}: not YAML", self._name, hint) from None

    def _syntax(self, error: yaml.MarkedYAMLError, mark: Any) -> InputError:
        hint = "close quotes and brackets, and let the keys of a mapping begin in one column"
        place = self._name
        if mark is not None:
            place = self._place(mark)
            lines = _LINES.split(self._text)
            line = lines[mark.line] if mark.line < len(lines) else ""
            if "\t" in line[: mark.column + 1]:
                hint = "indent with spaces, not with tabs"
            elif line[mark.column : mark.column + 1] in ("@", "`", "%"):
                hint = 'put a text that begins with such a character into quotes ("…")'
            elif error.problem == "found invalid Unicode character escape code":
                hint = r"write the character itself, or \U with eight digits"
            elif error.problem == "mapping values are not allowed in this context":
                hint = "put a text with a colon into quotes, or see to the indentation"
        return InputError(f"cannot read {self._of}: not YAML: {error.problem}", place, hint)

    def _check_characters(self) -> None:
        found = _FORBIDDEN.search(self._text)
        if found is None:
            return
        before = _LINES.split(self._text[: found.start()])
        place = f"{self._name}, line {len(before)}, column {len(before[-1]) + 1}"
        character = f"U+{ord(found.group()):04X}"
        what = f"cannot read {self._of}: there is a character that YAML does not allow, {character}"
        hint = "take it out"
        if found.group() in _LINE_ENDS:
            what = f"cannot read {self._of}: {character} ends a line in some versions of YAML only"
            hint = r'take it out, or write it as an escape in double quotes ("\u2028")'
        elif found.group() == "\0":
            hint = "take it out; is this a text file?"
        raise InputError(what, place, hint)

    def _refusal(self, what: str, event: Any, hint: str) -> InputError:
        return InputError(f"cannot read {self._of}: {what}", self._place(event.start_mark), hint)

    def _place(self, mark: Any) -> str:
        return f"{self._name}, line {mark.line + 1}, column {mark.column + 1}"

    def _count(self, nodes: int, characters: int, event: Any) -> None:
        self._nodes += nodes
        self._characters += characters
        if self._nodes > MOST_NODES or self._characters > MOST_CHARACTERS:
            most = f"{MOST_NODES} values, or {MOST_CHARACTERS} characters"
            hint = "is it the right file? an alias (*name) counts as all that it stands for"
            raise self._refusal(f"there are more than {most}", event, hint)

    def _check_no_tag(self, event: Any) -> None:
        if event.tag is not None:
            hint = 'take it out; put a text into quotes ("…")'
            raise self._refusal("there is a tag (!…), which means nothing here", event, hint)

    def _as_key(self) -> bool:
        """Whether what comes next is a mapping's key."""
        if not self._stack:
            return False
        frame = self._stack[-1]
        return isinstance(frame.value, dict) and frame.key is None

    def _next_path(self) -> _Path:
        if not self._stack:
            return ()
        frame = self._stack[-1]
        last = frame.key if isinstance(frame.value, dict) else len(frame.value)
        assert last is not None
        return (*frame.path, last)

    def _scalar(self, event: Any) -> None:
        self._check_no_tag(event)
        text = event.value
        self._count(1, len(text), event)
        plain = not event.style
        value = self._resolved(text, event) if plain else text
        if isinstance(value, str) and _CONTROL.search(value):
            hint = r"take it out: a text may have \t and \n, and no other control character"
            raise self._refusal("a text has a control character", event, hint)
        if self._as_key():
            self._key(value, plain, event)
            return
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(value, 1, len(text), 0)
        self._add(value, event)

    def _resolved(self, text: str, event: Any) -> Any:
        """What a scalar without quotes is."""
        if self._also_helm:
            self._check_helm(text, event)
        if _NULL.fullmatch(text):
            return None
        if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
            return text[0] in "tT"
        if text[0] not in "-+.0123456789":
            return text
        if sign := _INFINITE.fullmatch(text):
            return float(f"{sign[1]}inf")
        if _NAN.fullmatch(text):
            return float("nan")
        octal, hexadecimal = _OCTAL.fullmatch(text), _HEX.fullmatch(text)
        if not (octal or hexadecimal or _FLOAT.fullmatch(text)):
            return text
        if len(text) > MOST_DIGITS:
            what = f"there is a number of {len(text)} characters"
            raise self._refusal(what, event, "write a smaller one; put a text into quotes")
        if octal or hexadecimal:
            return int(text[2:], 8 if octal else 16)
        if _INT.fullmatch(text):
            return int(text)
        value = float(text)
        if value in (float("inf"), float("-inf")):
            hint = "write a smaller one; put a text into quotes"
            raise self._refusal("there is a number that no float64 holds", event, hint)
        return value

    def _check_helm(self, text: str, event: Any) -> None:
        if _HELM_BOOLEAN.fullmatch(text):
            what = "helm reads this word as true or false, and YAML 1.2 as a text"
            hint = 'write true or false, or put the text into quotes ("…")'
        elif _HELM_NUMBER.fullmatch(text) and not _HEX.fullmatch(text):
            what = "helm reads this as another number than YAML 1.2 does"
            hint = "write the number without leading zeros and _, or put the text into quotes"
        else:
            return
        raise self._refusal(what, event, hint)

    def _key(self, key: Any, plain: bool, event: Any) -> None:
        frame = self._stack[-1]
        if not isinstance(key, str):
            kind = "empty" if key is None else "a boolean" if isinstance(key, bool) else "a number"
            raise self._refusal(f"a key is {kind}", event, 'put the key into quotes ("…")')
        if plain and key == _MERGE and not self._also_helm:
            hint = "write the keys out"
            raise self._refusal("YAML 1.2 has no merge keys (<<)", event, hint)
        if event.anchor is not None:
            raise self._refusal("a key has an anchor (&…)", event, "take the anchor out")
        line = event.start_mark.line + 1
        if key in frame.keys:
            what = f"key {printable(key, 80)!r} stands more than once"
            hint = f"keep one of them; the other is in line {frame.keys[key]}"
            raise self._refusal(what, event, hint)
        frame.keys[key] = line
        frame.key = key
        self._places[(*frame.path, key)] = (line, event.start_mark.column + 1)

    def _add(self, value: Any, event: Any) -> None:
        """Puts a value that is whole to where it belongs."""
        if not self._stack:
            self._value = value
            return
        frame = self._stack[-1]
        if isinstance(frame.value, list):
            self._places.setdefault(
                (*frame.path, len(frame.value)),
                (event.start_mark.line + 1, event.start_mark.column + 1),
            )
            frame.value.append(value)
            return
        assert frame.key is not None
        if self._also_helm and frame.key == _MERGE:
            mappings = value if isinstance(value, list) else [value]
            if not all(isinstance(mapping, dict) for mapping in mappings):
                hint = "give it an alias (*name) of a mapping"
                raise self._refusal("a merge key (<<) stands before no mapping", event, hint)
            frame.merged += mappings
        else:
            frame.value[frame.key] = value
        frame.key = None

    def _start(self, event: Any) -> None:
        self._check_no_tag(event)
        mapping = isinstance(event, yaml.MappingStartEvent)
        if self._as_key():
            kind = "a mapping" if mapping else "a list"
            raise self._refusal(f"a key is {kind}", event, "a key is a text: write one")
        nodes, characters = self._nodes, self._characters
        self._count(1, 0, event)
        path = self._next_path()
        if isinstance(path[-1] if path else "", int):
            self._places[path] = (event.start_mark.line + 1, event.start_mark.column + 1)
        frame = _Frame({} if mapping else [], path, event.anchor, nodes, characters)
        self._stack.append(frame)
        self._check_depth(len(self._stack), event)

    def _check_depth(self, depth: int, event: Any) -> None:
        if depth > MOST_DEPTH:
            what = f"there are more than {MOST_DEPTH} mappings and lists inside of each other"
            raise self._refusal(what, event, "write it with fewer; are all brackets closed?")

    def _end(self, event: Any) -> None:
        frame = self._stack.pop()
        for mapping in frame.merged:
            assert isinstance(frame.value, dict)
            for key, value in mapping.items():
                frame.value.setdefault(key, value)
        depth = self._depth_of.pop(len(self._stack) + 1, 0) + 1
        self._deepen(depth)
        if frame.anchor is not None:
            nodes = self._nodes - frame.nodes
            characters = self._characters - frame.characters
            self._anchors[frame.anchor] = _Anchored(frame.value, nodes, characters, depth)
        self._add(frame.value, event)

    def _deepen(self, depth: int) -> None:
        """Keeps how deep it goes below the innermost mapping or list that is not at its end."""
        level = len(self._stack)
        self._depth_of[level] = max(self._depth_of.get(level, 0), depth)

    def _alias(self, event: Any) -> None:
        if self._as_key():
            raise self._refusal("a key is an alias (*…)", event, "write the key out")
        anchored = self._anchors.get(event.anchor)
        if anchored is None:
            hint = "mark what it stands for with & and the same name, further up; or write it out"
            raise self._refusal("an alias (*…) stands for nothing", event, hint)
        self._count(anchored.nodes, anchored.characters, event)
        self._check_depth(len(self._stack) + anchored.depth, event)
        self._deepen(anchored.depth)
        self._add(anchored.value, event)
