"""The fuzzers of what a party reads from peers and strangers, under the sanitizers.

    python -m tests.attacks.fuzzing [--inputs N] [--keep]     (make fuzz)

Each target in ``fuzz/`` is one C file with a claim in its head, linked with the product's own
sources. Where there is clang, libFuzzer drives it by coverage and ``--keep`` adds what it finds to
the corpus; elsewhere, and in the gate, ``fuzz/driver.c`` replays the corpus and mutates it blindly.
A corpus is a text file: one input a line, in hex.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deployer.certs import authority

HERE = Path(__file__).parent / "fuzz"
ROOT = HERE.parents[2]
NATIVE = ROOT / "party" / "native"
FLAGS = (
    *("-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"),
    *("-fno-sanitize-recover=all", f"-I{NATIVE}"),
)
LONGEST = 512
"""Bytes of an input."""


@dataclass(frozen=True)
class Target:
    """A parser, what is fuzzed with it, and the functions that its doubles stand in for."""

    name: str
    source: str
    doubles: tuple[str, ...]
    libraries: tuple[str, ...] = ("-lssl", "-lcrypto")

    @property
    def corpus(self) -> Path:
        return HERE / f"{self.name}.corpus"


TARGETS = (
    Target(
        "frames",
        "executor.c",
        ("poll", "clock_gettime", "shutdown", "CRYPTO_malloc", "CRYPTO_clear_free"),
        ("-lcrypto",),
    ),
    Target("handshake", "channel.c", ("recv", "send")),
    Target("identity", "channel.c", ("SSL_get0_peer_certificate", "SSL_get_verify_result")),
)


def prepare(directory: Path) -> None:
    """The executor's vocabulary as a C header, and keys of two parties."""
    command = [sys.executable, "setup.py", "--quiet", "build_ext"]
    command += ["--build-temp", str(directory / "include"), "--build-lib", str(directory / "lib")]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"TFE_KIT_CPU": "baseline"}, check=True)
    job = authority.make_authority("fuzz")
    for party in ("alice", "bob"):
        folder = directory / "keys" / party
        folder.mkdir(mode=0o700, parents=True)
        authority.write_files(folder, authority.make_party(job, party))


def build(target: Target, directory: Path, *, guided: bool, source: Path | None = None) -> Path:
    """The program that fuzzes a target: with libFuzzer, or with our own driver.

    ``source`` stands in for the product's.
    """
    program = directory / target.name
    compiler = ["clang"] if guided else shlex.split(os.environ.get("CC", "cc"))
    sanitize = "-fsanitize=address,undefined" + (",fuzzer" if guided else "")
    sources = [HERE / f"{target.name}.c", source or NATIVE / target.source]
    if not guided:
        sources.append(HERE / "driver.c")
    wrapped = [f"-Wl,--wrap={name}" for name in target.doubles]
    command = [*compiler, *FLAGS, sanitize, f"-I{directory / 'include'}", *map(str, sources)]
    subprocess.run([*command, *wrapped, *target.libraries, "-o", str(program)], check=True)
    return program


def unpack(target: Target, directory: Path) -> list[Path]:
    """The kept inputs, a file each."""
    folder = directory / f"{target.name}.inputs"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number, line in enumerate(target.corpus.read_text().split()):
        (folder / f"{number:05}").write_bytes(bytes.fromhex(line))
    return sorted(folder.iterdir())


def run(
    program: Path, words: list[str], directory: Path, limit_s: float
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"FUZZ_KEYS": str(directory / "keys")}
    return subprocess.run(
        [program, *words],
        env=environment,
        cwd=directory,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=limit_s,
    )


def mutate(
    target: Target,
    directory: Path,
    inputs: int,
    seed: int,
    limit_s: float = 900.0,
    source: Path | None = None,
) -> int:
    """Replays the corpus and mutates it blindly; the number of inputs that were run.

    Raises AssertionError with what the sanitizers or the target said, and the input.
    """
    program = build(target, directory, guided=False, source=source)
    files = unpack(target, directory)
    done = run(program, [str(inputs), str(seed), *map(str, files)], directory, limit_s)
    assert done.returncode == 0, done.stderr[-4000:]
    return int(done.stdout.split()[0])


def explore(target: Target, directory: Path, inputs: int, *, keep: bool) -> tuple[int, int]:
    """By coverage, with libFuzzer: the number of inputs run, and of those that the corpus holds.

    Raises AssertionError with what the sanitizers or the target said.
    """
    program = build(target, directory, guided=True)
    folder = directory / f"{target.name}.inputs"
    unpack(target, directory)
    words = [f"-runs={inputs}", f"-max_len={LONGEST}", "-print_final_stats=1", str(folder)]
    done = run(program, words, directory, 1e6)
    assert done.returncode == 0, done.stderr[-4000:]
    count = re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)
    assert count is not None, done.stderr[-4000:]
    least = directory / f"{target.name}.least"
    least.mkdir()
    merged = run(program, ["-merge=1", str(least), str(folder)], directory, 1e6)
    assert merged.returncode == 0, merged.stderr[-4000:]
    lines = sorted((one.read_bytes().hex() for one in least.iterdir()), key=lambda s: (len(s), s))
    if keep:
        target.corpus.write_text("\n".join(line for line in lines if line) + "\n")
    return int(count.group(1)), len(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--inputs", type=int, default=10_000_000, help="of all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="add what is found to the corpus")
    given = parser.parse_args()
    guided = shutil.which("clang") is not None
    if given.keep and not guided:
        parser.error("only libFuzzer finds what is worth keeping: install clang")
    shares = {"frames": 0.985, "handshake": 0.005, "identity": 0.01}  # by how long one takes
    with tempfile.TemporaryDirectory() as room:
        prepare(Path(room))
        for target in TARGETS:
            inputs = round(given.inputs * shares[target.name])
            if guided:
                done, kept = explore(target, Path(room), inputs, keep=given.keep)
                print(f"{target.name}: {done:,} inputs, {kept} cover what they reach", flush=True)
            else:
                done = mutate(target, Path(room), inputs, given.seed, 1e6)
                print(f"{target.name}: {done:,} inputs, mutated blindly: no clang", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
