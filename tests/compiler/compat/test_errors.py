"""The TensorFlow operations report every failure and keep nothing, under the sanitizers."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
NATIVE = HERE.parents[2] / "party" / "native"
OPTIONS = "-std=c11 -g -O1 -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover"


def test_every_error_is_reported_and_nothing_is_kept(tmp_path: Path) -> None:
    program = tmp_path / "errors"
    sources = [HERE / "errors.c", *(NATIVE / name for name in ("kernels.c", "random.c", "bits.c"))]
    compiler = shlex.split(os.environ.get("CC", "cc"))
    libraries = ["-lcrypto", "-lpthread"]
    command = [*compiler, *OPTIONS.split(), *map(str, sources), "-o", str(program), *libraries]
    subprocess.run(command, check=True)
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "nothing was kept" in done.stdout
