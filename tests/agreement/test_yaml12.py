"""YAML is read as its version 1.2 says, within limits, and refused by line and column."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deployer.manifests.values import load_values
from party.agreement.job import parse_job
from party.agreement.text_file import MOST_BYTES
from party.agreement.yaml12 import MOST_DEPTH, MOST_NODES, load_yaml, read_yaml, write_yaml
from party.process.errors import InputError

JOB = """\
name: fraud
rows: 100
features: [a, b]
label: y
training: {epochs: 2, batch_size: 10, learning_rate: 0.5}
"""

BOMB = (
    "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 8))
    + "features: [*a7, *a7]\n"
)


def read(text: str, **more: bool) -> Any:
    return read_yaml(text, "a.yaml", "the file", **more).value


def refusal(text: str, **more: bool) -> InputError:
    with pytest.raises(InputError) as caught:
        read(text, **more)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, word) for word in ("yes", "no", "on", "off", "y", "N", "Yes", "1:20", "7_000")),
        *((word, word) for word in ("2024-01-01", "=", "0b1", "1e", "+", ".", "1.2.3", "0o8")),
        *((word, word) for word in ("nUll", "tRue", "0x", "-a", "１")),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        *((word, None) for word in ("null", "Null", "NULL", "~", "")),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("-12", -12),
        ("+0", 0),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("1.5E-2", 0.015),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("'1'", "1"),
        ('"true"', "true"),
        ("|\n  1\n", "1\n"),
    ],
)
def test_a_scalar_is_what_yaml_1_2_says(text: str, value: Any) -> None:
    found = read(f"a: {text}\n")["a"]
    assert (found, type(found)) == (value, type(value))


def test_not_a_number_is_one_of_its_numbers() -> None:
    assert math.isnan(read(".nan"))


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts.filter(lambda text: not set("\u2028\u2029\ufeff") & set(text)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_json_is_yaml(value: Any) -> None:
    assert read(json.dumps(value, ensure_ascii=False)) == value
    assert read(write_yaml(value)) == value


@given(values)
def test_what_pyyaml_writes_in_quotes_is_read_back(value: Any) -> None:
    text = yaml.safe_dump(value, default_style='"', allow_unicode=False)
    strings = json.loads(json.dumps(value), parse_int=str, parse_float=str)

    def alike(found: Any, wanted: Any) -> bool:
        if isinstance(wanted, dict):
            return {*found} == {*wanted} and all(alike(found[k], wanted[k]) for k in wanted)
        if isinstance(wanted, list):
            return len(found) == len(wanted) and all(map(alike, found, wanted))
        return not isinstance(value, str) or bool(found == wanted)

    if not any(tag in text for tag in ("!!int", "!!float", "!!bool", "!!null")):
        assert alike(read(text), strings)


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("? [a]\n: 1", "a key is a list", "line 1, column 3"),
        ("x: 1\n? {a: 1}\n: 1", "a key is a mapping", "line 2, column 3"),
        ("1: a", "a key is a number", "line 1, column 1"),
        ("true: a", "a key is a boolean", "line 1, column 1"),
        ("a: {~: b}", "a key is empty", "line 1, column 5"),
        ("a: &b c\n*b : d", "a key is an alias", "line 2, column 1"),
        ("a: 1\nb: 2\na: 3", "key 'a' stands more than once", "line 3, column 1"),
        ("a: 1\n<<: {b: 2}", "no merge keys", "line 2, column 1"),
        ("a: !!str 1", "there is a tag", "line 1, column 4"),
        ("!!python/object:os.system {}", "there is a tag", "line 1, column 1"),
        ("a: *b", "an alias (*…) stands for nothing", "line 1, column 4"),
        ("a: &b [*b]", "an alias (*…) stands for nothing", "line 1, column 8"),
        ("a: 1\n--- \nb: 2", "more than one document", "line 2, column 1"),
        ("%YAML 1.1\n---\na: 1", "of another version", "line 1, column 1"),
        ("a: 1\nb: x\0", "does not allow, U+0000", "line 2, column 5"),
        ("a: 1\r\nb: \x07", "does not allow, U+0007", "line 2, column 4"),
        ("a: x\u2028y", "U+2028 ends a line in some versions", "line 1, column 5"),
        ('a: "x\\0"', "a control character", "line 1, column 4"),
        ("a: " + "9" * 5000, "a number of 5000 characters", "line 1, column 4"),
        ("a: 1e400", "a number that no float64 holds", "line 1, column 4"),
        ("a: [", "not YAML", "line 2, column 1"),
        ("a:\n\tb: 1", "not YAML", "line 2, column 1"),
        ("a: b: c", "not YAML", "line 1, column 5"),
        ("[" * 600, f"more than {MOST_DEPTH} mappings and lists", "line 1, column 33"),
        ("a:\n" + "".join(" " * i + "- \n" for i in range(1, 99)), "inside of each other", "line"),
        (BOMB, f"more than {MOST_NODES} values", "line 5"),
        ("- x\n" * MOST_NODES, f"more than {MOST_NODES} values", f"line {MOST_NODES}, column 3"),
    ],
)
def test_a_trap_is_refused_by_its_place(text: str, what: str, where: str) -> None:
    error = refusal(text)
    assert what in error.what
    assert (error.where or "").startswith(f"a.yaml, {where}")


def test_a_bomb_of_long_texts_is_refused_too() -> None:
    text = f"a: &a {'x' * 500_000}\nb: [{', '.join(['*a'] * 2000)}]\n"
    assert "4194304 characters" in refusal(text).what


def test_a_bomb_of_depth_is_refused_too() -> None:
    levels = "".join(f"a{i}: &a{i} [[[[*a{i - 1}]]]]\n" for i in range(1, 12))
    assert "inside of each other" in refusal("a0: &a0 x\n" + levels).what


def test_an_alias_is_what_it_stands_for() -> None:
    assert read("a: &x {b: [1, 2]}\nc: *x\nd: [*x]") == {
        "a": {"b": [1, 2]},
        "c": {"b": [1, 2]},
        "d": [{"b": [1, 2]}],
    }


def test_a_file_that_is_too_long_or_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"

    def says(content: bytes) -> tuple[str, str | None]:
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            load_yaml(path, "the file")
        assert caught.value.hint
        return caught.value.what, caught.value.where

    assert "more than 1048576 bytes" in says(b"#" * (MOST_BYTES + 1))[0]
    assert "the text is UTF-16, not UTF-8" in says("a: 1".encode("utf-16"))[0]
    what, where = says(b"a: 1\nb: \xff")
    assert (what, where) == ("cannot read the file: the text is not UTF-8", f"{path}, line 2")
    with pytest.raises(InputError, match="Is a directory"):
        load_yaml(tmp_path, "the file")
    path.write_bytes(b"\xef\xbb\xbfa: 1")
    assert load_yaml(path, "the file").value == {"a": 1}


@pytest.mark.parametrize(
    "word", ["y", "Yes", "ON", "n", "no", "Off", "010", "-07", "7_000", "1_0.5", "0b11", "1_e3"]
)
def test_what_helm_reads_as_something_else_is_refused_where_helm_reads_too(word: str) -> None:
    error = refusal(f"a: {word}", also_helm=True)
    assert "helm reads this" in error.what and error.where == "a.yaml, line 1, column 4"
    assert read(f'a: "{word}"', also_helm=True) == {"a": word}
    read(f"a: {word}")


@pytest.mark.parametrize("word", ["yesterday", "a_b", "0x1F", "10", "0", "0.5", "1:20", "a0"])
def test_what_helm_reads_alike_is_not(word: str) -> None:
    assert read(f"a: {word}", also_helm=True) == read(f"a: {word}")


def test_merge_keys_are_taken_where_helm_reads_too() -> None:
    text = "p: &p {a: 1, b: 2}\nq: &q {b: 3, c: 4}\nz: {<<: [*p, *q], a: 0}\nw:\n  <<: *q"
    found = read(text, also_helm=True)
    assert found["z"] == {"a": 0, "b": 2, "c": 4} and found["w"] == {"b": 3, "c": 4}
    assert "stands before no mapping" in refusal("a: {<<: 1}", also_helm=True).what


@pytest.mark.parametrize(
    ("old", "new", "what", "where", "hint"),
    [
        ("[a, b]", "[a, 1]", "features.1: a number", "line 3, column 15", "into quotes"),
        ("[a, b]", "[null, b]", "features.0: null", "line 3, column 12", "into quotes"),
        ("[a, b]", "{alice: [a], bob: [true]}", "bob.0: a boolean", "line 3", "into quotes"),
        ("label: y", "label: 1", "label: a number", "line 4, column 1", "into quotes"),
        ("label: y", "label:", "label: it is the column", "line 4, column 1", "change it"),
        ("name: fraud", "name: true", "name: a boolean", "line 1, column 1", "into quotes"),
        ("100", "1:20", "rows: ", "line 2, column 1", "without quotes"),
        ("100", "7_000", "rows: ", "line 2, column 1", "without quotes"),
        ("100", '"7000"', "rows: ", "line 2, column 1", "without quotes"),
        ("epochs: 2", "epochs: yes", "training.epochs: ", "line 5, column 12", "whole number"),
        ("epochs: 2", "epoch: 2", "training.epoch: unknown key", "line 5, column 12", "'epochs'"),
        ("epochs: 2, ", "", "training.epochs: Field required", "line 5, column 1", "add the key"),
        ("[a, b]", '[a, "b\\n"]', "features.1: the text has", "line 3, column 15", "take it out"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_line(
    old: str, new: str, what: str, where: str, hint: str
) -> None:
    assert old in JOB
    with pytest.raises(InputError) as caught:
        parse_job(JOB.replace(old, new), "job.yaml")
    assert what in caught.value.what and hint in (caught.value.hint or "")
    assert (caught.value.where or "").startswith(f"job.yaml, {where}")


def test_names_that_other_yaml_takes_for_something_else_are_names() -> None:
    job = parse_job(JOB.replace("[a, b]", "[yes, no, 1:20, 7_000, 2024-01-01]"), "job.yaml")
    assert job.features_of("alice") == ("yes", "no", "1:20", "7_000", "2024-01-01")
    assert parse_job(JOB.replace("100", "010"), "job.yaml").rows == 10


def test_a_job_in_json_is_the_same_job() -> None:
    job = parse_job(JOB.replace("[a, b]", "[yes, 1e3x, ünï, 😀]"), "job.yaml")
    assert parse_job(job.model_dump_json(), "job.json") == job


def test_a_job_that_is_written_is_read_back() -> None:
    job = parse_job(JOB.replace("[a, b]", '["yes", "1e3", "😀", "a\\u2028b", "1"]'), "job.yaml")
    assert parse_job(write_yaml(job.model_dump(mode="json")), "job.yaml") == job


@pytest.mark.parametrize("text", [BOMB, "[" * 600, "? [a]\n: b", "a: \0", "a: " + "9" * 5000])
def test_values_are_read_by_the_same_rules(tmp_path: Path, text: str) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        load_values([file])
    assert (caught.value.where or "").startswith(f"{file}, line ") and caught.value.hint


@pytest.mark.parametrize(
    ("text", "what", "where", "hint"),
    [
        ("job: {label: y}", "helm reads this word as true", "line 1, column 14", "into quotes"),
        ("image:\n  tag: 1.10", "image.tag: a number", "line 2, column 3", "into quotes"),
        ("ports: {party: '1'}", "ports.party: ", "line 1, column 9", "without quotes"),
        ("demo: {enabled: 'true'}", "demo.enabled: ", "line 1, column 8", "without quotes"),
        ("alice: {labels: {a: 1}}", "alice.labels.a: a number", "line 1, column 18", "quotes"),
    ],
)
def test_a_wrong_value_is_refused_with_its_line(
    tmp_path: Path, text: str, what: str, where: str, hint: str
) -> None:
    good, file = tmp_path / "good.yaml", tmp_path / "values.yaml"
    good.write_text("image: {tag: x}\nports: {party: 7001}")
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        load_values([good, file])
    assert what in caught.value.what and hint in (caught.value.hint or "")
    assert caught.value.where == f"{file}, {where}"
