"""``python -m tests.faults``: runs with faults, seed after seed; each can be repeated by its seed.

python -m tests.faults --runs 300
python -m tests.faults --runs 100 --rare 0.3
python -m tests.faults --seed 17
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.runs import faulty


def main() -> int:
    """Run; say what each came to; 1 where one did not end as it must."""
    words = argparse.ArgumentParser(description="Runs of three parties with faults.")
    words.add_argument("--runs", type=int, default=20)
    words.add_argument("--first", type=int, default=1, help="the first seed")
    words.add_argument("--seed", type=int, help="this seed alone")
    words.add_argument("--most", type=int, default=3, help="faults in a run")
    words.add_argument("--killing", type=float, default=0.4, help="part of the others that kills")
    words.add_argument(
        "--silent",
        type=float,
        default=0.1,
        help="part in which nothing is heard of one for a while",
    )
    words.add_argument(
        "--rare",
        type=float,
        default=0.0,
        help="part in which a disk is full, a checkpoint changed, or connections come in disorder",
    )
    words.add_argument("--cache", type=Path, help="of plans")
    said = words.parse_args()
    seeds = [said.seed] if said.seed else range(said.first, said.first + said.runs)
    failed, rejoins, seconds, faults = [], 0, 0.0, 0
    with tempfile.TemporaryDirectory() as made:
        cache = said.cache or Path(made) / "cache"
        cache.mkdir(exist_ok=True)
        with faulty(Path(made) / "undisturbed", cache, 0, None) as run:
            undisturbed = run.end().weights
        for seed in seeds:
            try:
                with faulty(
                    Path(made) / str(seed),
                    cache,
                    seed,
                    undisturbed,
                    said.most,
                    said.killing,
                    said.silent,
                    said.rare,
                ) as run:
                    ended = run.end()
            except Exception as error:
                failed.append(seed)
                print(
                    f"seed {seed}: FAILED {type(error).__name__}: {error}", run.faults, flush=True
                )
                continue
            rejoins, seconds = rejoins + ended.rejoins, seconds + ended.seconds
            faults += len(ended.faults)
            print(
                f"seed {seed}: {ended.seconds:.1f} s, {ended.rejoins} rejoins, weights within "
                f"{ended.distance:.1e}: {'; '.join(ended.faults)}",
                flush=True,
            )
    print(
        f"{len(seeds)} runs, {faults} faults, {rejoins} rejoins at Alice, {seconds:.0f} s; "
        f"failed: {failed or 'none'}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
