"""The native library builds where it can, says in one sentence where it cannot, and is clean."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def build(directory: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``setup.py`` with a command, in a copy of the project."""
    return subprocess.run(
        [sys.executable, "setup.py", "--quiet", *command],
        cwd=directory,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the sources and of the tests, without anything that was built."""
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    for name in ("party", "deployer", "tests/native", "tests/harness"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for shared in (ROOT / "tests").glob("*.py"):
        shutil.copy(shared, tmp_path / "tests")
    return tmp_path


def pretending(directory: Path, missing: str) -> str:
    """A compiler on whose machine a header is missing."""
    fake = directory / "cc"
    fake.write_text(f'#!/bin/sh\nif grep -q "{missing}"; then exit 1; fi\nexit 0\n')
    fake.chmod(0o755)
    return str(fake)


@pytest.mark.parametrize("command", ["check_native", "build_ext"])
def test_what_is_missing_is_said_in_one_sentence(project: Path, command: str) -> None:
    def sentence(compiler: str) -> str:
        done = build(project, command, CC=compiler)
        assert done.returncode != 0
        assert done.stdout == ""
        (line,) = done.stderr.strip().splitlines()
        return line

    assert sentence("no-such-compiler") == (
        "error: No C compiler was found: install one (Debian, Ubuntu: apt install gcc libc6-dev)."
    )
    assert sentence(pretending(project, "stdio.h")) == (
        "error: The C library's headers are missing (Debian, Ubuntu: apt install libc6-dev)."
    )
    assert sentence(pretending(project, "openssl/ssl.h")) == (
        "error: OpenSSL 3's headers are missing (Debian, Ubuntu: apt install libssl-dev)."
    )


def test_a_layout_that_c_would_pad_is_refused(project: Path) -> None:
    """The C header is made from the Python side; that both mean the same bytes is asserted."""
    vocabulary = project / "party/native/instructions.py"
    text = vocabulary.read_text().replace('("n", "<i8")', '("n", "<i4")')
    vocabulary.write_text(text.replace("assert INSTRUCTION.itemsize == 136", ""))
    done = build(project, "build_ext", "--inplace", TFE_KIT_CPU="baseline")
    assert done.returncode != 0
    assert 'static assertion failed: "layout"' in done.stderr


def test_the_same_sources_make_the_same_bytes_in_every_folder(tmp_path: Path) -> None:
    """With the symbols of a debugger, which name folders."""
    made = []
    for folder in (tmp_path / "one", tmp_path / "another" / "one"):
        shutil.copytree(
            ROOT / "party/native", folder / "party/native", ignore=shutil.ignore_patterns("*.so")
        )
        for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, folder)
        done = build(folder, "build_ext", "--inplace", CFLAGS="-g -O0", TFE_KIT_CPU="baseline")
        assert done.returncode == 0, done.stderr
        libraries = sorted((folder / "party/native").glob("*.so"))
        made.append({library.name: library.read_bytes() for library in libraries})
    assert made[0] == made[1] and made[0]


def test_it_compiles_for_arm(project: Path) -> None:
    compiler = shutil.which("aarch64-linux-gnu-gcc")
    if compiler is None:
        pytest.skip("no compiler for arm64 here")
    # This machine's OpenSSL headers, apart from its other headers: they will do for a check.
    headers = project / "headers" / "openssl"
    headers.mkdir(parents=True)
    include = Path("/usr/include")
    for found in (*include.glob("openssl/*.h"), *include.glob("*-linux-gnu/openssl/*.h")):
        (headers / found.name).symlink_to(found)
    flags = f"-fsyntax-only -I{headers.parent}"
    done = build(
        project,
        "build_ext",
        "--build-lib=compiled",
        CC=compiler,
        CFLAGS=flags,
        TFE_KIT_CPU="baseline",
        TFE_KIT_WERROR="1",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow(15)
def test_the_library_is_clean_under_the_sanitizers(project: Path) -> None:
    """Address and undefined-behaviour sanitizers, under the tests of instructions and channels."""

    def runtime(name: str) -> str:
        command = ["gcc", f"-print-file-name={name}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    libraries = [runtime("libasan.so"), runtime("libubsan.so")]
    if not all(Path(each).is_absolute() for each in libraries):
        pytest.skip("this compiler comes without sanitizers")
    done = build(
        project,
        "build_ext",
        "--inplace",
        CC="gcc",
        CFLAGS="-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all",
        TFE_KIT_CPU="baseline",
        TFE_KIT_WERROR="1",
    )
    assert done.returncode == 0, done.stderr
    tests = [
        f"tests/native/test_{name}.py" for name in ("instructions", "exchange", "spill", "tls")
    ]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tests],
        cwd=project,
        env=os.environ
        | {
            "LD_PRELOAD": " ".join(libraries),
            "ASAN_OPTIONS": "detect_leaks=0",  # Python keeps what it will use again
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "PYTHONPATH": str(project),
            "TFE_KIT_CPU": "baseline",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-8000:]
    assert " passed" in ran.stdout
