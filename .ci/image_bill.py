"""Adds what is in an image to the bill of materials of its Python packages.

It runs in the image, by that image's own Python and nothing else, and reads the packages' bill from
its standard input (``make sbom-image``)::

    docker run --rm -i tfe-kit python -c "$(cat .ci/image_bill.py)" < sbom.json

Added are the packages of Debian, with their sources, the Python that is no package of Debian's, and
the OpenSSL of each: that of the system, which the connections use, and the one that is built into
``cryptography``. CycloneDX 1.5 and later; the same image gives the same bytes.
"""

from __future__ import annotations

import json
import platform
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

FIELDS = ("Package", "Version", "Architecture", "source:Package", "source:Version")

Component = dict[str, Any]


def debian(release: str) -> list[Component]:
    """The packages that are installed."""
    form = "\t".join(f"${{{name}}}" for name in ("db:Status-Status", *FIELDS)) + "\n"
    words = ["dpkg-query", "--show", f"--showformat={form}"]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    found = []
    for line in sorted(told.splitlines()):
        status, name, version, architecture, source, source_version = line.split("\t")
        if status != "installed":
            continue
        more = {"arch": architecture, "distro": release, "upstream": f"{source}@{source_version}"}
        where = "&".join(f"{key}={quote(value, safe='')}" for key, value in more.items())
        link = f"pkg:deb/debian/{quote(name, safe='')}@{quote(version, safe='')}?{where}"
        found.append(component("library", name, version, link))
    return found


def component(kind: str, name: str, version: str, link: str, about: str = "") -> Component:
    """As CycloneDX has it."""
    made = {"type": kind, "name": name, "version": version, "bom-ref": link, "purl": link}
    return made | ({"description": about} if about else {})


def openssl(text: str, where: str) -> Component:
    """The OpenSSL that a program has, by what that says of its version."""
    version = text.split()[1]
    link = f"pkg:generic/openssl@{version}?{quote('used-by')}={quote(where, safe='')}"
    return component("library", "openssl", version, link, f"{text}; in {where}")


def in_this_image() -> list[Component]:
    """All that is not in the bill of the Python packages."""
    from cryptography.hazmat.backends.openssl import backend

    about = platform.freedesktop_os_release()
    system = about["ID"], about.get("VERSION_ID", "")
    name = f"{system[0]}-{system[1]}"
    base = component("operating-system", *system, f"pkg:generic/{'@'.join(system)}")
    python = platform.python_version()
    link = f"pkg:generic/python@{python}"
    return [
        base,
        component("platform", "python", python, link, str(Path(sys.base_prefix))),
        openssl(ssl.OPENSSL_VERSION, "Python and the connections"),
        openssl(backend.openssl_version_text(), "the wheel of cryptography"),
        *debian(name),
    ]


if __name__ == "__main__":
    bill = json.load(sys.stdin)
    bill["components"] = [*bill.get("components", []), *in_this_image()]
    json.dump(bill, sys.stdout, indent=2, sort_keys=True)
    print()
