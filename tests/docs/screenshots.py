"""``python -m tests.docs.screenshots``: takes the pictures of a report in docs/ again.

Runs what docs/scoring.md compares, writes the report, and has Chromium (Debian: ``apt install
chromium``) show it at the width of a desk and of a phone. Look at them before you commit them.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]

SIZES = {"report-desk": (1000, 1560), "report-phone": (390, 1380)}
COLOURS = 64
"""Of a picture: enough for flat colours, at a third of the bytes."""


def shot(page: Path, size: tuple[int, int], room: Path) -> bytes:
    """What a browser shows of a page, PNG."""
    picture = room / "picture.png"
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={room / 'browser'}", "--blink-settings=preferredColorScheme=1"]
    command += [f"--window-size={size[0]},{size[1]}", f"--screenshot={picture}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    small = io.BytesIO()
    with Image.open(picture) as image:
        image.convert("RGB").quantize(COLOURS).save(small, "PNG", optimize=True)
    return small.getvalue()


def main() -> None:
    from tests.docs.test_commands import commands

    with TemporaryDirectory() as made:
        room = Path(made)
        (room / "examples").symlink_to(ROOT / "examples")
        if len(sys.argv) > 1:  # a report that is there already
            page = Path(sys.argv[1]).resolve()
        else:
            (script,) = (one for one in commands("docs/scoring.md") if "--beside" in one)
            subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=room, check=True)
            page = room / "joint.html"
        for name, size in SIZES.items():
            (ROOT / f"docs/{name}.png").write_bytes(shot(page, size, room))


if __name__ == "__main__":
    main()
