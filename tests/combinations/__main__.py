"""``python -m tests.combinations``: random jobs, seed after seed; each can be repeated by its seed.

python -m tests.combinations --runs 300
python -m tests.combinations --seed 17
python -m tests.combinations --home --runs 3000
python -m tests.combinations --kind joined --runs 100
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections import Counter
from itertools import count, islice
from pathlib import Path

from tests.combinations import home
from tests.combinations.draws import SHAPES, FindingError
from tests.combinations.kinds import KINDS, ON_SHARES, RUN
from tests.combinations.runs import run
from tests.harness.plans import MADE


def main() -> int:
    """Run; say what each came to; 1 where one was not as it must be."""
    words = argparse.ArgumentParser(description="Random jobs beside what is computed in clear.")
    words.add_argument("--runs", type=int, default=20)
    words.add_argument("--first", type=int, default=1, help="the first seed")
    words.add_argument("--seed", type=int, help="this seed alone")
    words.add_argument("--shapes", type=int, default=SHAPES, help="seeds of so many plans alone")
    words.add_argument("--cache", type=Path, default=MADE, help="of plans")
    words.add_argument("--kind", choices=KINDS, default="plain", help="of cases")
    words.add_argument("--home", action="store_true", help="without the protocol")
    words.add_argument("--show", action="store_true", help="the job and its tables, and no run")
    said = words.parse_args()
    if said.home and said.kind in ON_SHARES:
        words.error(f"there is nothing of {said.kind} to do at home: leave out --home")
    of_shapes = (seed for seed in count(said.first) if seed % SHAPES < said.shapes)
    seeds = list(islice(of_shapes, said.runs)) if said.seed is None else [said.seed]
    failed, ends = [], Counter[str]()
    said.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        for seed in seeds:
            case = KINDS[said.kind](seed)
            if said.show:
                print(case.job, case.tables, sep="\n")
                continue
            try:
                where = Path(made) / str(seed)
                whole = RUN.get(said.kind, run)
                outcome = home.run(case, where) if said.home else whole(case, where, said.cache)
            except Exception as error:
                failed.append(seed)
                ends["FAILED"] += 1
                print(f"seed {seed}: FAILED {type(error).__name__}: {error}", flush=True)
                print(f"  {case.job}\n  {'; '.join(case.words)}", flush=True)
                if not isinstance(error, FindingError):
                    traceback.print_exc()
                continue
            ends[("done", "failed", "refused")[outcome.code]] += 1
            print(f"seed {seed}: {outcome.seconds:.1f} s, {outcome.words}", flush=True)
    told = ", ".join(f"{times} {end}" for end, times in sorted(ends.items()))
    print(f"{len(seeds)} runs: {told}; failed: {failed or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
