"""The job: what the parties agree to train, the same bytes for all of them, and its digest.

The job holds nothing private. Its digest names the run: parties whose digests differ refuse each
other before any byte of data leaves.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from party.process.errors import InputError

Party = Literal["alice", "bob", "server"]
PARTIES: tuple[Party, Party, Party] = ("alice", "bob", "server")
"""The roles, in the order of the hosts map's ``server0``, ``server1``, ``server2``."""

Protocol = Literal["pond", "aby3", "securenn"]

_PRINTABLE = "^[^\\x00-\\x1f\\x7f-\\x9f\ufdd0-\ufdef\ufffe\uffff]+$"
"""No control characters, and none that YAML cannot hold."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$")]
ColumnName = Annotated[str, Field(min_length=1, max_length=128, pattern=_PRINTABLE)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Training(_Strict):
    """Mini-batch stochastic gradient descent."""

    epochs: int = Field(ge=1, le=1_000_000, description="passes over the rows")
    batch_size: int = Field(ge=1, le=65_536, description="rows of one step")
    learning_rate: float = Field(gt=0, le=10, description="step width")
    order_seed: int = Field(
        default=0, ge=0, lt=2**53, description="public seed of the order of rows in each epoch"
    )


class Job(_Strict):
    """What is trained, on how many rows of which columns, and who receives the model."""

    name: Name = Field(description="the job's name and the trust domain of its identities")
    protocol: Protocol = Field(default="pond", description="how the parties share their secrets")
    rows: int = Field(ge=1, le=2**31 - 1, description="rows of every party's table")
    features: tuple[ColumnName, ...] = Field(
        min_length=1, max_length=4096, description="Alice's columns, in order"
    )
    label: ColumnName = Field(description="Bob's column")
    model: Literal["logistic-regression"] = Field(
        default="logistic-regression", description="what is trained"
    )
    training: Training
    result: Literal["alice"] = Field(default="alice", description="the party that gets the model")

    @model_validator(mode="after")
    def _consistent(self) -> Job:
        repeated = {name for name in self.features if self.features.count(name) > 1}
        if repeated:
            raise ValueError(f"features: {min(repeated)!r} stands more than once")
        if self.label in self.features:
            raise ValueError(f"label: {self.label!r} is also one of the features")
        if self.training.batch_size > self.rows:
            raise ValueError(
                f"training.batch_size: {self.training.batch_size} is more than rows ({self.rows})"
            )
        return self

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch. The rows left over by the last, partial one sit that epoch
        out; the order changes with each epoch, so that no row sits out for long."""
        return self.rows // self.training.batch_size

    @property
    def steps(self) -> int:
        """Steps of the whole job."""
        return self.steps_per_epoch * self.training.epochs

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of the job as canonical JSON (defaults filled in, keys sorted)."""
        return digest_of(self.model_dump(mode="json"))


def digest_of(value: Any) -> str:
    """SHA-256, in hex, of a JSON value in its canonical form: sorted keys, no white space."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


class StrictLoader(yaml.SafeLoader):  # type: ignore[misc, unused-ignore]
    """Plain YAML, but for two traps: a repeated key is refused instead of silently replacing the
    earlier one, and ``1e-3`` is the number that it is in YAML 1.2 and JSON, not a text."""


def _unique_mapping(loader: StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.MarkedYAMLError(
                problem=f"key {key!r} stands more than once", problem_mark=key_node.start_mark
            )
        seen.add(key)
    mapping: dict[Any, Any] = loader.construct_mapping(node, deep=True)
    return mapping


StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)
StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def parse_job(text: str, where: str) -> Job:
    """The job in a YAML text. ``where`` names the text in an error.

    Raises InputError for text that is not YAML, an unknown key, a missing one or a wrong value.
    """
    try:
        value = yaml.load(text, Loader=StrictLoader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"the job is not YAML: {error.problem}", where + line) from None
    except yaml.YAMLError:
        raise InputError("the job is not YAML", where) from None
    if not isinstance(value, dict):
        raise InputError("the job is not a mapping of keys to values", where)
    try:
        # JSON mode: YAML lists stand for tuples, while numbers and strings stay strictly apart.
        return Job.model_validate_json(json.dumps(value, default=str))
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        # A misspelt key is also a missing one; the misspelling is what helps.
        first = min(errors, key=lambda e: e["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        hint = None
        if first["type"] == "extra_forbidden":
            message, hint = "unknown key", _nearest_key_hint(first["loc"])
        what = f"the job is wrong: {key}: {message}" if key else f"the job is wrong: {message}"
        raise InputError(what, where, hint) from None


def _nearest_key_hint(location: tuple[int | str, ...]) -> str | None:
    from difflib import get_close_matches

    model: type[BaseModel] = Training if location[0] == "training" else Job
    near = get_close_matches(str(location[-1]), model.model_fields, n=1)
    return f"did you mean {near[0]!r}?" if near else None


def load_job(path: Path) -> Job:
    """The job in a YAML file; see ``parse_job``."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read the job: {error.strerror}", str(path)) from None
    except UnicodeDecodeError:
        raise InputError("the job is not UTF-8 text", str(path)) from None
    return parse_job(text, str(path))
