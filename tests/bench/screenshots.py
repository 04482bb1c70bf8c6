"""Takes the pictures of a report that the documentation shows, in headless Chromium and without a network.

    condense suite digits --out runs/suite
    condense report runs/suite --out report.html
    python -m tests.bench.screenshots report.html --run dm-digits-ipc10 --out docs

The table of scores is sorted by accuracy, and the slider of one run is moved to its first step, as a reader would do it.
"""

import argparse
import json
import subprocess
from datetime import date
from pathlib import Path

from PIL import Image

from tests.support.browser import MISSING, Browser, is_there

WIDTH, HEIGHT = 1200, 900
SORTED = """const heads = [...document.querySelectorAll('#scores th button')];
heads.find((head) => head.textContent.startsWith('accuracy')).click();
return [...document.querySelectorAll('#scores tbody tr')].length"""
OPENED = """const runs = [...document.querySelectorAll('details.run')], name = (one) => one.querySelector('h2').textContent;
const asked = runs.find((one) => name(one).startsWith(arguments[0]));
for (const one of runs) one.open = one === asked;
return asked ? name(asked) : runs.map(name)"""
MOVED = """const it = document.querySelector('details.run[open] .evolution input'); it.value = 0; it.dispatchEvent(new Event('input'));
return document.querySelector('details.run[open] .evolution output').textContent"""
DRAWN = """return [...document.querySelectorAll('.chart')].every((one) => {
  const { top, bottom } = one.getBoundingClientRect();
  return one.querySelector('svg') || top > innerHeight || bottom < 0 || one.closest('details:not([open])'); })"""
VIEWS = {  # the picture's name -> what comes to the top of the window
    "report_scores": "document.querySelector('#scores')",
    "report_charts": "document.querySelector('#scores .chart')",
    "report_images": "document.querySelector('details.run[open]')",
    "report_evolution": "document.querySelector('details.run[open] .evolution').previousElementSibling",
}


def take(report: Path, run: str, out: Path) -> dict:
    """Opens a report, sorts, opens one run, moves its slider, and writes a picture of each of `VIEWS`. Returns what the page said."""
    with Browser(width=WIDTH, height=HEIGHT) as page:
        page.open(report)
        page.run("document.querySelector('#scores .chart').scrollIntoView()")  # charts are drawn where they come into view
        page.until(DRAWN)
        rows, opened = page.run(SORTED), page.run(OPENED, run)
        if isinstance(opened, list):
            raise SystemExit(f"--run {run}: the report has the runs {', '.join(opened)}")
        step = page.run(MOVED)
        for name, place in VIEWS.items():
            page.run(f"{place}.scrollIntoView()")
            page.until(DRAWN)
            page.picture(out / f"{name}.png")
            with Image.open(out / f"{name}.png") as picture:
                picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(out / f"{name}.png", optimize=True)
        return {"rows": rows, "run": opened, "first_step": step, "errors": page.errors(), "report_bytes": report.stat().st_size}


def main() -> None:
    """Takes the pictures and prints a record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("--run", required=True, help="how the name of the run begins that is opened")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    asked = parser.parse_args()
    if not is_there():
        raise SystemExit(MISSING)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    print(json.dumps({**take(asked.report, asked.run, asked.out), "commit": commit, "date": date.today().isoformat()}))


if __name__ == "__main__":
    main()
