"""A real headless Chromium, driven over its own protocol; where there is none, a reason to skip."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"
PATIENCE = 60.0  # seconds: machines are loaded
# No sandbox: tests may run as root. The others keep it from talking to anybody by itself.
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-extensions", "--force-color-profile=srgb", "--hide-scrollbars",
)  # fmt: skip


def missing() -> str | None:
    """Return why no browser can be driven here, or None."""
    if not any(map(shutil.which, BROWSERS)):
        return "there is no Chromium (Debian: apt-get install chromium chromium-driver)"
    if shutil.which(DRIVER) is None:
        return "there is no ChromeDriver (Debian: apt-get install chromium-driver)"
    return None


@contextmanager
def started(profile: Path, *, width: int = 1280, height: int = 900) -> Iterator[webdriver.Chrome]:
    """Yield a browser with the empty ``profile``; it is gone afterwards."""
    options = Options()
    options.binary_location = next(filter(None, map(shutil.which, BROWSERS)))
    for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which(DRIVER)))
    try:
        driver.set_page_load_timeout(PATIENCE)
        yield driver
    finally:
        driver.quit()


def opened(driver: webdriver.Chrome, page: Path) -> float:
    """Open ``page``, wait until it has drawn everything, and return the seconds that took."""
    began = time.monotonic()
    driver.get(page.as_uri())
    until(driver, "return document.documentElement.dataset.ready === 'yes'")
    return time.monotonic() - began


def until(driver: webdriver.Chrome, condition: str, *arguments: Any) -> None:
    """Wait until ``condition``, a script, returns something true. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE
    while not driver.execute_script(condition, *arguments):
        if time.monotonic() > deadline:
            raise TimeoutError(condition)
        time.sleep(0.02)


def emulate(driver: webdriver.Chrome, *, media: str = "", scheme: str = "light") -> None:
    """Have the page shown for ``media`` (print) and a reader who prefers ``scheme``."""
    wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wishes.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def sized(driver: webdriver.Chrome, width: int, height: int = 900) -> None:
    """Give the page a window of ``width`` by ``height`` CSS pixels."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )
