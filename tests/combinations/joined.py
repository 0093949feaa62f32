"""Cases whose tables are in orders of their own, with rows that the other has not.

A case is drawn as any other, of more rows. Then each holder is given those in common and some of
its own, in an order of its own, with identifiers in a spelling of its own.
"""

from __future__ import annotations

import random
import unicodedata
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np

from tests.combinations.draws import SHAPES, Case, Cells, first_places, shape_of, with_tables

HOLDERS = ("alice", "bob")
BORN = date(1969, 12, 28)


def draw(seed: int, both: bool = False) -> Case:
    """The case of a seed. What its plan depends on, numbers of rows among it, is one of SHAPES.

    ``both``: of columns at both holders.
    """
    shape = random.Random(f"joined shape {seed % SHAPES}")
    chance = random.Random(f"joined case {seed}")
    job, slots = shape_of(shape, both)
    common = job["rows"]
    same = shape.random() < 0.15
    parts = shape.choice(((0.0, 0.0), (0.5, 0.5), (0.5, 0.5), (0.0, 3.0), (3.0, 0.1), (20.0, 0.3)))
    more = [0 if same else int(part * common) for part in parts]
    classes = shape.choice(({"0": 1.0, "1": 5.0}, {"0": 2.0, "1": 0.5}))
    if chance.random() > 0.04:
        _fit(job, same, classes)
    whole = with_tables(seed, chance, job | {"rows": common + sum(more)}, slots)
    job = whole.job
    people = list(range(common + sum(more)))
    chance.shuffle(people)
    words = [*whole.words, f"{common} in common, {more[0]} and {more[1]} more"]
    larger = "alice" if more[0] > more[1] else "bob"
    if max(more) and larger in job["features"] and chance.random() < 0.4:
        by = chance.choice(job["features"][larger])
        words.append(f"those in common are the first by {by}")
        people.sort(key=whole.tables[larger][by].__getitem__)
    shared = people[:common]
    own = {"alice": people[common : common + more[0]], "bob": people[common + more[0] :]}
    rows = {holder: [(one, one) for one in shared + own[holder]] for holder in HOLDERS}
    if not same:
        for each in rows.values():
            chance.shuffle(each)
    names = _Names(chance)
    align: dict[str, Any] = {"key": names.key}
    wrong = ends = ""
    if same:
        align["order"] = "same"
        if chance.random() < 0.15:
            ends = "other rows, or the same in another order"
            rows["bob"][3], rows["bob"][7] = rows["bob"][7], rows["bob"][3]
    else:
        align |= chance.choice(({}, {"minimum": 2}, {"minimum": common}))
        enough = align.get("minimum", 100)
        if enough > common:
            align["minimum"] = common
        if chance.random() < 0.05:
            align["minimum"] = common + 1
            ends = f"fewer than {common + 1} rows are in common"
        if "evaluation" in job:  # the number held out is held against what is enough
            align["minimum"] = max(align.get("minimum", 100), 50)
        again = chance.random()
        if again < 0.2:
            _repeat(chance, rows[chance.choice(HOLDERS)])
            words.append("rows with an identifier again")
            if again < 0.16:
                align["duplicates"] = "first"
            else:
                wrong = "identifiers stand twice"
    job["align"] = align
    tables = {}
    for holder in HOLDERS:
        cells, table = names.cells(holder, [who for who, _ in rows[holder]]), whole.tables[holder]
        if chance.random() < 0.01:
            cells[next(iter(cells))][5], wrong = chance.choice(("", " \u3000")), "no identifier"
        found = cells | {name: [table[name][of] for _, of in rows[holder]] for name in table}
        order = list(found)
        chance.shuffle(order)
        tables[holder] = {name: found[name] for name in order}
    words.append(names.words)
    whose = {holder: [who for who, _ in each] for holder, each in rows.items()}
    case = replace(
        whole, job=job, tables=tables, words=tuple(words), wrong=wrong, ends=ends, people=whose
    )
    if same:
        job["rows"] = common
        return case
    del job["rows"]
    at = {holder: first_places(whose[holder]) for holder in HOLDERS}
    pairs = np.array([[at[holder][who] for holder in HOLDERS] for who in shared])
    return replace(case, pairs=pairs)


def _fit(job: dict[str, Any], same: bool, classes: dict[str, float]) -> None:
    """Take out of a job what is refused where rows are matched, or together with the rest."""
    training = job.get("training", {})
    if isinstance(job["model"], dict):
        job.pop("evaluation", None)
        training.pop("class_weight", None)
    if not same:
        job.pop("statistics", None)
        if "epochs" in training:
            training.clear()
        if training.get("class_weight") == "balanced":
            training["class_weight"] = classes
    if not training:
        job.pop("training", None)


def _repeat(chance: random.Random, rows: list[tuple[int, int]]) -> None:
    """Some rows of whom an earlier row is of already, with the cells of others."""
    for _ in range(chance.choice((1, 5))):
        place = chance.randrange(len(rows))
        whose = chance.choice(rows)[1]
        rows.insert(chance.randint(place + 1, len(rows)), (rows[place][0], whose))


class _Names:
    """Identifiers of people, in as many spellings as there may be of the same one.

    Attributes:
        key: what the job says of them.
        words: for people.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.words = chance.choice(("plain", "zeros", "letters", "two", "born"))
        columns = {"two": ["who", "where"], "born": ["who", "born"]}.get(self.words, ["who"])
        self.columns = {holder: list(columns) for holder in HOLDERS}
        if chance.random() < 0.4:
            self.columns["bob"] = [f"{name} of bob" for name in columns]
        self.dates: dict[str, str | None] = {}
        if self.words == "born":
            self.dates = {holder: chance.choice((None, "dmy", "mdy")) for holder in HOLDERS}
        said = {holder: self._said(holder) for holder in HOLDERS}
        self.key: Any = said
        if said["alice"] == said["bob"]:
            one = said["alice"]
            self.key = one[0] if len(one) == 1 and isinstance(one[0], str) else one

    def _said(self, holder: str) -> list[Any]:
        columns: list[Any] = list(self.columns[holder])
        if self.dates:
            form = self.dates[holder]
            columns[1] = {"column": columns[1], "type": "date"}
            columns[1] |= {"format": form} if form else {}
        return columns

    def cells(self, holder: str, people: list[int]) -> Cells:
        """The cells of a holder's columns of the key."""
        rows = [self._row(holder, who) for who in people]
        columns = zip(*rows, strict=True)
        return {n: list(each) for n, each in zip(self.columns[holder], columns, strict=True)}

    def _row(self, holder: str, who: int) -> list[str]:
        if self.words == "plain":
            return [self._spelt(f"C{who}")]
        if self.words == "zeros":
            return [self._spelt("0" * (who % 3) + str(who // 3))]
        if self.words == "letters":
            return [self._spelt(f'Straße É ﬁ, {who} "x"')]
        if self.words == "two":  # together they are the same text for several
            text = f"{who // 4:05d}"
            return [self._spelt(text[: 1 + who % 4]), self._spelt(text[1 + who % 4 :])]
        day = BORN + timedelta(who // 5)
        return [self._spelt(f"N{who % 5}"), self._day(day, self.dates[holder])]

    def _spelt(self, text: str) -> str:
        way = self.chance.randrange(8)
        if way == 0:
            return text.upper()
        if way == 1:
            return f" {text.lower()}\t"
        if way == 2:
            return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)
        if way == 3:
            return unicodedata.normalize("NFD", text)
        if way == 4:
            return f"\u3000{unicodedata.normalize('NFKC', text)}\u00a0"
        return text

    def _day(self, day: date, form: str | None) -> str:
        ways = [day.isoformat(), f"{day.isoformat()} 12:30", f"{day.isoformat()}T00:00:00Z"]
        between = self.chance.choice("./-")
        if form == "mdy":
            ways += [f"{day.month}{between}{day.day}{between}{day.year}"] * 3
        elif form == "dmy":
            ways += [f"{day.day:02d}{between}{day.month:02d}{between}{day.year}"] * 3
        else:
            ways += [f"{day.day}.{day.month}.{day.year}"] * 3
        return self.chance.choice(ways)
