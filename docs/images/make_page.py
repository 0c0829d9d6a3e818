"""Draw docs/images/page.png: the HTML page of a real contrast, as a browser shows its top.

    make page

Writes the whole page to reports/contrast-sample.html too, which is not kept in the repository: five
megabytes of it are plotly.js. Needs Chromium and its driver, as the tests of the page do.
"""

from __future__ import annotations

import base64
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The browser is driven as the tests drive it.
sys.path.append(str(ROOT / "tests" / "integration"))
import browser  # noqa: E402

PICTURE = Path(__file__).with_name("page.png")
PAGE = ROOT / "reports" / "contrast-sample.html"
SHOWN = ROOT / "scenarios" / "contrast" / "shown-and-collected" / "leaky.ipynb"
WIDTH, HEIGHT = 1180, 940  # CSS pixels


def write() -> None:
    """Run the contrast; it writes the page."""
    line = [sys.executable, "-m", "memprobe", "contrast", "--exit-zero", "--suggest"]
    subprocess.run([*line, str(SHOWN), "--html", str(PAGE)], check=True, stdout=subprocess.DEVNULL)


def draw() -> None:
    """Open the page and keep what a window shows of it."""
    with (
        tempfile.TemporaryDirectory(prefix="memprobe-page-", ignore_cleanup_errors=True) as folder,
        browser.started(Path(folder)) as driver,
    ):
        browser.emulate(driver)
        browser.sized(driver, WIDTH, HEIGHT)
        browser.opened(driver, PAGE)
        shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        PICTURE.write_bytes(base64.b64decode(shot["data"]))


if __name__ == "__main__":
    why = browser.missing()
    if why is not None:
        raise SystemExit(f"error: {why}")
    write()
    draw()
    print(f"drawn: {PICTURE}", file=sys.stderr)
