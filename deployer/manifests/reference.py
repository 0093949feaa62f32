"""What is generated from the values: the chart's ``values.yaml``, its schema, its reference.

``deployer values`` shows the first. ``python -m deployer.manifests.reference`` writes all of them
into ``helm/``; with ``--check`` it only says whether they are up to date.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from deployer.manifests.values import QUEUED, Values
from party.agreement.parties import PARTIES
from party.process.errors import InputError
from party.process.exit import guarded

CHART = Path(__file__).resolve().parents[2] / "helm"

_BEGIN, _END = "<!-- values: begin -->", "<!-- values: end -->"
_WIDTH = 100

_HEAD = """\
# The values of the chart, their defaults and their meaning; `deployer` takes the same.
# Generated from deployer/manifests/values.py by `python -m deployer.manifests.reference`.
"""


def values_yaml() -> str:
    """The chart's ``values.yaml``: every key, its meaning above it."""
    return _HEAD + "".join(_commented(Values, Values().document(), 0))


def values_schema() -> str:
    """The chart's ``values.schema.json``: JSON Schema, draft 7, that refuses unknown keys.

    Every key that has a default is required, unless that is to be left out. Helm checks a user's
    values laid over the defaults, so that only a default taken away by ``null`` is missed.
    """
    schema = Values.model_json_schema(mode="serialization", by_alias=True)
    schema = _without_titles(schema)
    _close(schema)
    for section in _sections(schema, schema):
        section["required"] = [
            key for key, of in section["properties"].items() if of.get("default", key) is not None
        ]
    schema["properties"]["jobs"] |= {"items": _queued_job(schema["$defs"])}
    # Helm lays one solver's keys over the defaults, which are another's: ``kit.job`` parts them.
    batches, descent = schema["$defs"]["Training"], schema["$defs"].pop("Descent")
    batches["properties"] |= descent["properties"]
    batches.pop("required")
    training = schema["$defs"]["Job"]["properties"]["training"]
    del training["oneOf"], training["default"]
    training["$ref"] = "#/$defs/Training"
    # What a float64, which is all that helm knows, holds exactly.
    seed = batches["properties"]["order_seed"]
    seed["exclusiveMaximum"] = 2**53
    schema["$defs"]["Job"]["properties"]["features"]["uniqueItems"] = True
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", **schema}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _queued_job(definitions: dict[str, Any]) -> dict[str, Any]:
    """A job of a queue: no default is laid under its keys, so that a solver is one or the other."""
    for name in ("Training", "Descent"):
        definitions[f"Queued{name}"] = deepcopy(definitions[name])
    definitions["QueuedTraining"]["properties"]["order_seed"]["exclusiveMaximum"] = 2**53
    properties = {name: deepcopy(definitions["Job"]["properties"][name]) for name in QUEUED}
    for own in properties.values():
        own.pop("default", None)
    properties["training"] = {
        "anyOf": [{"$ref": f"#/$defs/Queued{name}"} for name in ("Training", "Descent")]
    }
    return {
        "type": "object",
        "properties": properties,
        "required": ["name"],
        "additionalProperties": False,
    }


def values_table() -> str:
    """The reference in the chart's README: a Markdown table of all values."""
    rows = ["| Value | Default | Meaning |", "|---|---|---|"]
    for key, default, meaning in _rows(Values, Values().document(), ""):
        shown = json.dumps(default, ensure_ascii=False)
        shown = f"`{shown}`" if len(shown) <= 60 else "see `values.yaml`"
        rows.append(f"| `{key}` | {shown} | {meaning} |")
    return "\n".join(rows) + "\n"


def generated() -> dict[Path, str]:
    """The generated files and what should stand in them."""
    readme = CHART / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return {
        CHART / "values.yaml": values_yaml(),
        CHART / "values.schema.json": values_schema(),
        readme: f"{before}{_BEGIN}\n{values_table()}{_END}{after}",
    }


def _meaning(field: FieldInfo) -> str:
    """A field's description, or that of the section it holds, or the values that it may have."""
    kind = field.annotation
    if field.description:
        return field.description[0].upper() + field.description[1:].removesuffix(".") + "."
    if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__doc__:
        return kind.__doc__.strip().split("\n\n")[0]
    choices = [f"`{choice}`" for choice in get_args(kind)]
    return f"{', '.join(choices[:-1])} or {choices[-1]}." if choices[1:] else f"{choices[0]}."


def _commented(model: type[BaseModel], values: dict[str, Any], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, field in model.model_fields.items():
        key = field.alias or name
        if key not in values:  # left out, which is its default
            continue
        value = values[key]
        section = field.annotation
        if depth == 0:
            yield "\n"
        if model is Values and name in PARTIES[1:]:
            yield f"# {_meaning(field)} Keys as for alice.\n"
            yield _plain({key: value}, depth)
            continue
        yield from (
            f"{indent}# {line}\n"
            for line in textwrap.wrap(_meaning(field), _WIDTH - len(indent) - 2)
        )
        if key not in values:
            yield f"{indent}# {key}:\n"  # there is none but who writes one
        elif isinstance(section, type) and issubclass(section, BaseModel):
            yield f"{indent}{key}:\n"
            yield from _commented(section, value, depth + 1)
        else:
            yield _plain({key: value}, depth)


def _plain(value: dict[str, Any], depth: int) -> str:
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=_WIDTH, allow_unicode=True)
    return textwrap.indent(text, "  " * depth)


class _Dumper(yaml.SafeDumper):
    """Texts that are empty show that they are texts; lists stand in from their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style=None if text else '"'
    ),
)


def _rows(model: type[BaseModel], values: Any, prefix: str) -> Iterator[tuple[str, Any, str]]:
    for name, field in model.model_fields.items():
        key = field.alias or name
        if key not in values and model is not Values:
            continue
        section = field.annotation
        if model is Values and name in PARTIES[1:]:
            yield f"{key}.…", "as alice's", _meaning(field)
        elif isinstance(section, type) and issubclass(section, BaseModel):
            yield from _rows(section, values[key], f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", values.get(key), _meaning(field)


def _sections(section: Any, schema: Any) -> Iterator[Any]:
    """The sections of the values, from the whole down; a key's long form is none."""
    yield section
    for inner in section["properties"].values():
        name = inner.get("$ref", "").rpartition("/")[2]
        if "properties" in schema["$defs"].get(name, {}):
            yield from _sections(schema["$defs"][name], schema)


def _close(schema: Any) -> None:
    """A mapping whose keys are to match a pattern has no other keys."""
    for inner in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(inner, dict | list):
            _close(inner)
    if isinstance(schema, dict) and "patternProperties" in schema:
        schema["additionalProperties"] = False


def _without_titles(schema: Any) -> Any:
    """Pydantic titles every key with its own name, which says nothing."""
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_titles(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }


def main() -> None:
    """Write the generated files, or, with ``--check``, refuse those that are out of date."""
    stale = [path for path, text in generated().items() if _text(path) != text]
    if "--check" in sys.argv[1:]:
        if stale:
            raise InputError(
                "generated files are out of date",
                ", ".join(path.name for path in stale),
                "python -m deployer.manifests.reference",
            )
        return
    for path in stale:
        path.write_text(generated()[path], encoding="utf-8")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(guarded(main))
