"""Inputs that are nearly right: a good one, changed here and there, written in one way of many."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from copy import deepcopy
from random import Random
from typing import Any

from deployer.manifests.values import Values
from party.agreement.job import Job
from party.table.parts import MANIFEST, packed

CANARIES = ("4711.0815", "Zeuxis")
"""A number and a word that stand for data: no message may hold them."""

ROWS = 5
JOB: dict[str, Any] = {
    "name": "small",
    "protocol": "pond",
    "rows": ROWS,
    "features": {"alice": ["age", "amount, €", "2023"], "bob": ["arrests"]},
    "label": {"bob": "fraud"},
    "model": "logistic-regression",
    "training": {"epochs": 1, "batch_size": 4, "learning_rate": 0.1, "order_seed": 3},
    "result": "alice",
}
TYPED_JOB: dict[str, Any] = {
    "name": "typed",
    "rows": ROWS,
    "features": ["age", "city", "since", "member", "plain"],
    "label": "fraud",
    "columns": {
        "age": {"missing": "median", "indicator": True, "log1p": True, "clip": [0.1, 0.9]},
        "city": {
            "type": "category",
            "values": ["Rome", "é"],
            "other": "column",
            "missing": "other",
        },
        "since": {"type": "date", "origin": "2000-01-01", "missing": "mean", "scale": "robust"},
        "member": "boolean",
        "fraud": {"type": "boolean", "positive": ["yes"], "negative": ["no"]},
    },
}
HOSTS = {"server0": "alice.example:4440", "server1": "10.0.0.2:4440", "server2": "[::1]:4440"}

_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**53, 2**64, 10**400, 1.5, -0.0, 1e-9, 1e308),
    *(float("inf"), float("nan"), "", " ", "yes", "no", "null", "~", "0x10", "0o7", "1_000", "1e3"),
    *("alice", "bob", "both", "pond", "aby3", "https://bob:80", "bob:80", "[::1]:80", "::1:80"),
    *("a" * 300, "é", "\u2028", "\x00", "\x7f", "\ud800", "{{ x }}", "<<", "*a", "&a", "- a", "#"),
    *([], {}, [[]], [1, 2], ["a", "a"], {"a": {"b": []}}, {"": ""}, {"alice": None}),
)
_KEYS = ("", "name", "Name", "rows", "features", "alice", "server0", "sever1", "y", "<<", "1", "\0")
_BYTES = (
    *(b"\n", b"\r", b"\t", b"\0", b"\xff", b"\xef\xbb\xbf", b"'", b'"', b":", b": ", b"#", b"- "),
    *(b"{", b"}", b"[", b"]", b",", b";", b"&a ", b"*a", b"!!python/object:os.system ", b"!x "),
    *(b"<<: *a", b"---\n", b"...\n", b"%YAML 1.1\n", b"|\n", b">-\n", b"? ", b"@", b"`", b"\\"),
    *(b"9" * 400, b"1e999", b"\xc2\x85", b"\xe2\x80\xa8", b"PK\x03\x04", b"\x1f\x8b", b"(", b"%"),
)


def _dressed(rng: Random, content: bytes) -> bytes:
    """The same text as other programs save it, and sometimes damaged."""
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 5))):
        at = rng.randrange(len(content) + 1)
        content = content[:at] + rng.choice(_BYTES) + content[at + rng.choice((0, 0, 1, 8)) :]
    if rng.random() < 0.03:
        content = content[: rng.randrange(len(content) + 1)]
    if rng.random() < 0.03:
        deep = rng.choice((b"[", b'{"a":', b"- ", b"? ", b"{", b'[{"a":', b"!", b"a: &a [*a"))
        content += deep * rng.choice((30, 600, 20_000))
    if rng.random() < 0.02:
        content = _bomb(rng) + content
    if rng.random() < 0.05:
        content = b"\xef\xbb\xbf" + content
    if rng.random() < 0.02:
        encoding = rng.choice(("utf-16", "utf-32", "utf-16-be"))
        content = content.decode("utf-8", "replace").encode(encoding)
    if rng.random() < 0.05:
        content = content.replace(b"\n", b"\r\n")
    return content


def _bomb(rng: Random) -> bytes:
    """Aliases of aliases."""
    lines = [b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, rng.choice((2, 4, 9))):
        one = b", ".join([b"*a%d" % (level - 1)] * 10)
        lines.append(b"a%d: &a%d [%s]" % (level, level, one))
    return b"\n".join(lines) + b"\n"


def _changed(rng: Random, value: Any) -> Any:
    """A tree with some of its nodes changed."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        nodes = [node for node in _containers(value) if node]
        if not nodes:
            break
        node = rng.choice(nodes)
        key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        deed = rng.random()
        if deed < 0.6:
            node[key] = deepcopy(rng.choice(_ODD))
        elif deed < 0.8:
            del node[key]
        elif isinstance(node, dict):
            node[rng.choice((*_KEYS, str(key).upper(), f"{key}s"))] = deepcopy(
                rng.choice((7, *_ODD))
            )
        else:
            node.append(deepcopy(rng.choice((node[key], *_ODD))))
    return value


def _containers(value: Any) -> list[Any]:
    if not isinstance(value, dict | list):
        return []
    inner = value.values() if isinstance(value, dict) else value
    return [value, *(found for one in inner for found in _containers(one))]


def _yaml(rng: Random, value: Any, indent: int = 0) -> str:
    """A tree in YAML, in blocks or in one line."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.2 or indent > 12:
        text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
        if isinstance(value, str) and rng.random() < 0.6:
            text = value
        return text
    lines = []
    pairs = value.items() if isinstance(value, dict) else ((None, one) for one in value)
    for key, one in pairs:
        head = "-" if key is None else f"{key}:"
        text = _yaml(rng, one, indent + 2)
        nested = isinstance(one, dict | list) and "\n" in text
        if rng.random() < 0.02:
            head += f" &{rng.choice('ab')}"
        lines.append(" " * indent + head + ("\n" + text if nested else f" {text.strip()}"))
    if len(lines) == 1:
        lines.append(" " * indent + "# one")
    return "\n".join(lines)


def job(rng: Random) -> bytes:
    """A job, in YAML."""
    one = TYPED_JOB if rng.random() < 0.4 else JOB
    return _dressed(rng, (_yaml(rng, _changed(rng, one)) + "\n").encode("utf-8", "replace"))


_VALUES = Values().document()


def values(rng: Random) -> bytes:
    """Some of the values, in YAML."""
    some = {key: _VALUES[key] for key in rng.sample(sorted(_VALUES), rng.randint(1, 4))}
    return _dressed(rng, (_yaml(rng, _changed(rng, some)) + "\n").encode("utf-8", "replace"))


def hosts(rng: Random) -> bytes:
    """A hosts map, in JSON."""
    return _dressed(rng, json.dumps(_changed(rng, HOSTS)).encode())


_CELLS = (
    *("", " ", '""', *CANARIES, f"{CANARIES[0]}x", f'"{CANARIES[0]}', f'{CANARIES[0]}"1"', "0,5"),
    *('"0,5"', "nan", "-inf", "1e999", "1e300", f"{CANARIES[0].replace('.', '')}e5", "9" * 400),
    *("true", "yes", "-1", "0x1F", "1_000", "٤٧", "\0", "\r", f'"{CANARIES[1]}\n1"', "=1+1", "1;2"),
    *(f'"{CANARIES[1]}, ""{CANARIES[0]}"""', "1\t2", "é", "+.5", "1.", "--1", "1 ", "NULL", "None"),
)


def table(rng: Random, party: str) -> bytes:
    """A party's table of the usual job."""
    names = list(JOB["features"][party]) + (["fraud"] if party == "bob" else [])
    if party == "bob":
        names.reverse()  # the label comes first
    columns = {name: [str(rng.gauss(0, 1)) for _ in range(ROWS)] for name in names}
    if party == "bob":
        columns["fraud"] = [str(row % 2) for row in range(ROWS)]
    header = rng.random() < 0.6
    if header and rng.random() < 0.5:
        for _ in range(rng.randint(1, 3)):
            columns[rng.choice(("", "id", CANARIES[1], "ammount", "2022"))] = list(
                rng.choices(_CELLS, k=ROWS)
            )
        names = rng.sample(sorted(columns), len(columns))
    rows = [[columns[name][row] for name in names] for row in range(ROWS)]
    if header:
        if rng.random() < 0.15:
            names[rng.randrange(len(names))] = rng.choice((*names, CANARIES[1], "agee", "7"))
        rows.insert(0, names)
    elif rng.random() < 0.05:
        rows[0] = [str(i) for i in range(len(names))]
    for _ in range(rng.choice((0, 0, 1, 1, 2, 6))):
        cells = rng.choice(rows)
        deed = rng.random()
        if deed < 0.7 and cells:
            cells[rng.randrange(len(cells))] = rng.choice(_CELLS)
        elif deed < 0.8 and cells:
            cells.pop()
        elif deed < 0.9:
            cells.append(rng.choice(_CELLS))
        else:
            rows.insert(rng.randrange(len(rows) + 1), list(rng.choice(([], [""], cells))))
    return _written(rng, rows)


_TYPED_CELLS = (
    *("", " ", "Rome", "é", "yes", "NO", "-1", "0", "2001-02-03", "2001-02-30", "0000-01-01"),
    *("2001-02-03T04:05", "2001-2-3", "1e308", "-0.5", '"', "a,b", 'a"b', "NA", "nan", *_CELLS),
)


def _typed_rows(rng: Random) -> list[list[str]]:
    names = list(TYPED_JOB["features"])
    columns = {
        "age": [f"{rng.random() * 90:.1f}" for _ in range(ROWS)],
        "city": rng.sample(["Rome", "é", "Oslo", "Rome", ""], ROWS),
        "since": [f"2001-0{rng.randint(1, 9)}-1{rng.randint(0, 9)}" for _ in range(ROWS)],
        "member": rng.sample(["yes", "NO", "t", "false", "0"], ROWS),
        "plain": [str(rng.gauss(0, 1)) for _ in range(ROWS)],
    }
    columns["age"][0] = ""
    if rng.random() < 0.3:
        columns["more"] = rng.choices(_TYPED_CELLS, k=ROWS)
        names.insert(rng.randrange(len(names)), "more")
    rows = [names, *([columns[name][row] for name in names] for row in range(ROWS))]
    for _ in range(rng.choice((0, 0, 1, 1, 2, 6))):
        cells = rng.choice(rows)
        cells[rng.randrange(len(cells))] = rng.choice(_TYPED_CELLS)
    return rows


def typed(rng: Random) -> bytes:
    """Alice's table of the job with typed columns."""
    return _written(rng, _typed_rows(rng))


def in_settings(rng: Random) -> dict[str, bytes]:
    """The same in another dialect, and its settings."""
    text = io.StringIO()
    sign, decimal = rng.choice(";\t|, "), rng.choice(".,")
    rows = _typed_rows(rng)
    if decimal == ",":
        rows = [[cell.replace(".", ",") for cell in row] for row in rows]
    csv.writer(text, delimiter=sign, lineterminator="\n").writerows(rows)
    encoding = rng.choice(("utf-8", "latin-1", "utf-16"))
    said = {
        "file": "t",
        "separator": sign,
        "decimal": decimal,
        "encoding": encoding,
        "gaps": ["NA"],
    }
    if rng.random() < 0.4:
        said = _changed(rng, said)
    content = text.getvalue().encode(encoding, "replace")
    settings = (_yaml(rng, said) + "\n").encode("utf-8", "replace")
    if rng.random() < 0.3:
        content, settings = _dressed(rng, content), _dressed(rng, settings)
    return {"t": content, "t.yaml": settings}


def in_arrow(rng: Random) -> bytes:
    """The same as Parquet or Arrow, sometimes damaged."""
    import pyarrow as pa
    from pyarrow import feather, parquet

    rows = _typed_rows(rng)
    columns: dict[str, Any] = {}
    for i, name in enumerate(rows[0]):
        cells: list[Any] = [row[i] or None for row in rows[1:]]
        if name == "plain" and rng.random() < 0.3:
            cells = [rng.choice((1.5, float("nan"), None, 2, -1e300)) for _ in cells]
        columns[name] = pa.array(cells)
    if rng.random() < 0.1:
        columns["city"] = pa.array([[1]] * ROWS)
    file = io.BytesIO()
    try:
        write = rng.choice((parquet.write_table, feather.write_feather))
        write(pa.table(columns), file)
    except (pa.ArrowException, UnicodeError):
        return b""
    content = file.getvalue()
    if rng.random() < 0.3:
        at = rng.randrange(len(content))
        content = content[:at] + rng.choice(_BYTES) + content[at + rng.choice((0, 1, 8)) :]
    return content


def _written(rng: Random, rows: list[list[str]]) -> bytes:
    if rng.random() < 0.5:
        text = io.StringIO()
        quoting: Any = rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
        sign = rng.choice(",,,,,,,;\t|")
        csv.writer(text, delimiter=sign, quoting=quoting, lineterminator="\n").writerows(rows)
        whole = text.getvalue()
    else:  # as it stands, quotes and all
        whole = "\n".join(map(",".join, rows))
    if rng.random() < 0.03:
        whole = whole.replace(".", ",")
    content = whole.encode("utf-8" if rng.random() < 0.95 else "latin-1", "replace")
    if rng.random() < 0.3:
        content = _dressed(rng, content)
    if rng.random() < 0.1:
        content = gzip.compress(content, compresslevel=1)
        if rng.random() < 0.5:
            at = rng.randrange(len(content))
            content = content[:at] + rng.choice((b"", b"\0", b"\xff")) + content[at + 1 :]
    return content


_GOOD = b"1,2,3\n4,5,7\n1,0,2\n3,3,3\n2,9,1\n"


def parts(rng: Random) -> dict[str, bytes]:
    """A directory with a manifest and a table in parts, of Alice's."""
    text = table(rng, "alice") if rng.random() < 0.4 else _GOOD
    manifest, contents = packed([text], "small", "alice")
    found = {part.name: content for part, content in zip(manifest.parts, contents, strict=True)}
    told = manifest.to_json()
    if rng.random() < 0.6:
        told = json.dumps(_changed(rng, json.loads(told))).encode()
    if rng.random() < 0.2:
        found["part-000"] = rng.randbytes(rng.randint(0, 40))
    if rng.random() < 0.3:  # a manifest that is right about parts that are wrong
        name, content = rng.choice(list(found.items()))
        digest = hashlib.sha256(content).hexdigest()
        part = {"name": name, "size": len(content), "sha256": digest}
        again = {"format": 1, "job": "small", "party": "alice", "sha256": "0", "parts": [part]}
        told = json.dumps(again).encode()
    return found | {MANIFEST: told if rng.random() < 0.7 else _dressed(rng, told)}


SMALL = Job.model_validate_json(json.dumps(JOB))
"""The job that the tables are for."""

TYPED = Job.model_validate_json(json.dumps(TYPED_JOB))
"""The job of the tables with typed columns."""
