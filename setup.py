"""Builds the native libraries; everything else about the package is in pyproject.toml.

They are plain shared libraries, loaded with ctypes and by TensorFlow: no Python header is needed,
only a C compiler and OpenSSL's headers. On x86-64 the executor is built three times, with and
without newer vector instructions; ``party.native.library`` picks the one the processor can run.

Environment: ``CC``, ``CFLAGS`` and ``LDFLAGS`` as usual; ``TFE_KIT_WERROR=1`` makes warnings
errors; ``TFE_KIT_CPU=baseline`` leaves the variants out.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import ClassVar

from setuptools import Command, Extension, setup
from setuptools.command.build_ext import build_ext

NATIVE = Path("party/native")
SOURCES = {
    "_executor": ("executor.c", "arithmetic.c", "channel.c", "random.c", "bits.c", "spill.c"),
    "_kernels": ("kernels.c", "random.c", "bits.c"),
}
LIBRARIES = {
    "_executor": ("-lssl", "-lcrypto"),
    # Beside TensorFlow's own BoringSSL the linker would mix the two; see random.c.
    "_kernels": ("-DKIT_OPENSSL_AT_RUN_TIME", "-ldl", "-lpthread"),
}
VARIANTS = {
    "": (),
    "_v3": ("-mavx2", "-mbmi", "-mbmi2"),
    "_v4": ("-mavx2", "-mbmi", "-mbmi2", "-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl"),
}
# Loops become vector code; floats keep the meaning and the order that the source gives them, and
# are the same in every variant.
OPTIMISE = ("-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic")
FLOATS = ("-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
HARDEN = ("-fstack-protector-strong", "-fvisibility=hidden")
WARN = ("-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wstrict-prototypes")
FLAGS = ("-std=c11", "-fPIC", *OPTIMISE, *FLOATS, *HARDEN, *WARN, "-Wmissing-prototypes")
LINK_FLAGS = ("-shared", "-Wl,-Bsymbolic", "-Wl,-z,relro,-z,now")

NO_COMPILER = "No C compiler was found: install one (Debian, Ubuntu: apt install gcc libc6-dev)."
NO_LIBC = "The C library's headers are missing (Debian, Ubuntu: apt install libc6-dev)."
NO_OPENSSL = "OpenSSL 3's headers are missing (Debian, Ubuntu: apt install libssl-dev)."

OPENSSL_3 = "#include <openssl/ssl.h>\n#if OPENSSL_VERSION_NUMBER < 0x30000000L\n#error\n#endif\n"


def vocabulary() -> ModuleType:
    """``party/native/instructions.py``, without importing the package that is being built."""
    spec = importlib.util.spec_from_file_location("instructions", NATIVE / "instructions.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def instructions_header() -> str:
    """The executor's vocabulary as a C header."""
    words = vocabulary()
    lines = [
        "/* Made from instructions.py. */",
        "#ifndef KIT_INSTRUCTIONS_H",
        "#define KIT_INSTRUCTIONS_H",
        "#include <stddef.h>",
        "#include <stdint.h>",
    ]
    for enumeration in (words.Type, words.Mode, words.Op):
        members = ", ".join(f"KIT_{member.name} = {member.value}" for member in enumeration)
        lines.append(f"enum kit_{enumeration.__name__.lower()} {{ {members} }};")
    layout = words.INSTRUCTION
    lines.append("typedef struct {")
    for name in layout.names:
        base, shape = layout[name].subdtype or (layout[name], ())
        count = f"[{shape[0]}]" if shape else ""
        lines.append(f"    int{8 * base.itemsize}_t {name}{count};")
    lines.append("} kit_instruction;")
    checks = [("sizeof(kit_instruction)", layout.itemsize)]
    checks += [
        (f"offsetof(kit_instruction, {name})", layout.fields[name][1]) for name in layout.names
    ]
    lines += [f'_Static_assert({what} == {value}, "layout");' for what, value in checks]
    return "\n".join([*lines, "#endif", ""])


def compiler() -> list[str]:
    """The C compiler's command."""
    return shlex.split(os.environ.get("CC", "cc"))


def check_tools() -> None:
    """Says in one sentence what is missing, rather than in a page of compiler errors."""
    if not shutil.which(compiler()[0]):
        raise SystemExit(f"error: {NO_COMPILER}")
    for program, sentence in (("#include <stdio.h>\n", NO_LIBC), (OPENSSL_3, NO_OPENSSL)):
        command = [*compiler(), *shlex.split(os.environ.get("CFLAGS", "")), "-E", "-x", "c", "-"]
        check = subprocess.run(command, input=program.encode(), capture_output=True, check=False)
        if check.returncode:
            raise SystemExit(f"error: {sentence}")


class CheckNative(Command):
    """Is everything there that the build needs? For ``make``, whose next step would hide it."""

    user_options: ClassVar[list[tuple[str, str, str]]] = []

    def initialize_options(self) -> None:
        pass

    def finalize_options(self) -> None:
        pass

    def run(self) -> None:
        check_tools()


class BuildNative(build_ext):
    """Calls the C compiler directly, once for each library."""

    def get_ext_filename(self, fullname: str) -> str:
        return fullname.replace(".", "/") + ".so"

    def run(self) -> None:
        check_tools()
        self.headers = Path(self.build_temp)
        self.headers.mkdir(parents=True, exist_ok=True)
        (self.headers / "instructions.h").write_text(instructions_header())
        super().run()

    def build_extensions(self) -> None:
        for extension in self.extensions:
            self.build_extension(extension)

    def build_extension(self, extension: Extension) -> None:
        output = Path(self.get_ext_fullpath(extension.name))
        output.parent.mkdir(parents=True, exist_ok=True)
        library = extension.name.rpartition(".")[2].removesuffix("_v3").removesuffix("_v4")
        strict = ["-Werror"] if os.environ.get("TFE_KIT_WERROR") == "1" else []
        flags = shlex.split(os.environ.get("CFLAGS", ""))
        if "-fsanitize" not in " ".join(flags):
            strict += ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"]
        # The same bytes from the same sources, in whatever folder they are: who doubts a library
        # builds it and compares.
        where = {self.headers.absolute(): "headers", self.headers: "headers", Path.cwd(): "."}
        strict += [f"-ffile-prefix-map={place}={name}" for place, name in where.items()]
        command = [
            *compiler(),
            *(*FLAGS, *strict, *extension.extra_compile_args, *flags),
            f"-I{self.headers}",
            *extension.sources,
            *(*LINK_FLAGS, *shlex.split(os.environ.get("LDFLAGS", ""))),
            *("-o", str(output), *LIBRARIES[library]),
        ]
        if subprocess.run(command, check=False).returncode:
            raise SystemExit(f"{extension.name} could not be compiled; the reason is above.")


def extensions() -> list[Extension]:
    variants = VARIANTS if platform.machine() in ("x86_64", "AMD64") else {"": ()}
    if os.environ.get("TFE_KIT_CPU") == "baseline":
        variants = {"": ()}
    return [
        Extension(
            f"party.native.{library}{suffix}",
            sources=[str(NATIVE / source) for source in sources],
            depends=[str(header) for header in sorted(NATIVE.glob("*.h"))],
            extra_compile_args=list(flags),
        )
        for library, sources in SOURCES.items()
        for suffix, flags in variants.items()
        if library == "_executor" or not suffix
    ]


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildNative, "check_native": CheckNative})
