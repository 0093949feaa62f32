"""Fuzzes the readers of what people write, or makes one input again."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.readers import READERS, put, run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="of all readers together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--reader",
        action="append",
        choices=[one.name for one in READERS],
        help="its share of the inputs alone; can be given repeatedly",
    )
    parser.add_argument("--only", metavar="READER/NUMBER", help="one input, kept in --keep")
    parser.add_argument("--keep", type=Path, default=Path("input"), help="where it is written")
    given = parser.parse_args()
    if given.only:
        name, _, number = given.only.partition("/")
        (reader,) = (one for one in READERS if one.name == name)
        put(reader.content(given.seed, int(number)), given.keep)
        print(f"{reader.name}: {given.keep}", flush=True)
        reader.read(given.keep)
        return 0
    code = 0
    with tempfile.TemporaryDirectory() as directory:
        for reader in READERS:
            if given.reader and reader.name not in given.reader:
                continue
            count, begin = given.inputs * reader.share // 100, time.monotonic()
            found = run(reader, given.seed, range(count), Path(directory))
            print(f"{reader.name}: {count:,} inputs, seed {given.seed}, ", end="")
            print(f"{time.monotonic() - begin:.0f} s", flush=True)
            for one in found:
                print(f"  {one}", flush=True)
            code |= bool(found)
    return code


if __name__ == "__main__":
    sys.exit(main())
