"""Makes this example's tables: nobody in them has lived. ``python make.py`` writes both."""

from __future__ import annotations

import csv
import math
import random
from pathlib import Path

ROWS = 900
HERE = Path(__file__).parent


def passenger(chance: random.Random) -> tuple[list[str], str]:
    """The cells of a row at Alice, and the label at Bob."""
    travels = chance.choices(["first", "second", "third", "crew"], [22, 20, 50, 8])[0]
    woman = chance.random() < 0.36
    age = max(0.5, round(chance.gauss(30, 14) * 2) / 2)
    fare = round(math.exp(chance.gauss({"first": 4.2, "second": 2.8}.get(travels, 2.2), 0.6)), 2)
    port = chance.choices(["Southport", "Cherbourg, FR", "Queensland", ""], [70, 19, 9, 2])[0]
    alone = chance.random() < 0.6
    booked = f"1911-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}"
    t = -1.3 + 2.4 * woman + {"first": 1.3, "second": 0.5}.get(travels, 0.0) - 0.025 * (age - 30)
    saved = chance.random() < 1 / (1 + math.exp(-t))
    cells = [
        travels,
        "woman" if woman else "man",
        "" if chance.random() < 0.2 else f"{age:g}",
        "" if chance.random() < 0.03 else f"{fare:.2f}",
        port,
        chance.choice(["yes", "Yes", "y"]) if alone else chance.choice(["no", "No"]),
        "" if chance.random() < 0.1 else booked,
    ]
    return cells, "saved" if saved else "lost"


def main() -> None:
    """Writes alice.csv and bob.csv beside this file."""
    chance = random.Random(1912)  # noqa: S311
    rows = [passenger(chance) for _ in range(ROWS)]
    alice = [
        ["travels", "sex", "age", "fare", "port", "alone", "booked"],
        *(own for own, _ in rows),
    ]
    bob = [["fate"], *([fate] for _, fate in rows)]
    for name, table in (("alice", alice), ("bob", bob)):
        with (HERE / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(table)


if __name__ == "__main__":
    main()
