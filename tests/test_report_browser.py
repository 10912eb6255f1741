"""The report in a real browser: everything is there, visible and readable."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slicegym.eval.page.write import write_report

from . import browser
from .browser import open_browser
from .results_folders import known, part, scenario

pytestmark = [pytest.mark.slow, pytest.mark.browser]

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
LONG = "round_robin:quantum=10.25"
# Of every drawing: its place on the page, whether all of its words lie inside it, and which lie
# on top of each other.
PLACES = """() => [...document.querySelectorAll('figure svg')].map(svg => {
  const box = svg.getBoundingClientRect();
  const inside = [...svg.querySelectorAll('text')].every(text => {
    const own = text.getBoundingClientRect();
    return own.left >= box.left - 1 && own.right <= box.right + 1
      && own.top >= box.top - 1 && own.bottom <= box.bottom + 1;
  });
  const words = [...svg.querySelectorAll('text')];
  const scale = box.width / svg.viewBox.baseVal.width;
  const size = Math.min(...words.map(text => text.getBoundingClientRect().height));
  const boxes = words.map(text => text.getBoundingClientRect());
  const clashes = words.flatMap((one, i) => words.slice(i + 1).filter((_, k) => {
    const [a, b] = [boxes[i], boxes[i + 1 + k]];
    return Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 * scale
      && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4 * scale;
  }).map(other => one.textContent + ' | ' + other.textContent));
  return {name: svg.closest('figure').id, x: box.x + scrollX, y: box.y + scrollY,
          width: box.width, height: box.height, inside, size, clashes};
})"""
UNFOLD = "document.querySelectorAll('details').forEach(part => { part.open = true })"
# The colours of a drawing's lines and words, and of the page behind them.
CONTRAST = """() => {
  const shade = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const page = shade(getComputedStyle(document.body).backgroundColor);
  const words = [...document.querySelectorAll('svg text, p, th, td, figcaption, dt, dd')]
    .map(node => shade(getComputedStyle(node)[node.matches('svg text') ? 'fill' : 'color']));
  const marks = [...document.querySelectorAll('svg .curve, svg .interval')]
    .map(node => shade(getComputedStyle(node).stroke));
  return {page, words, marks};
}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of four families, with a name that is long and one that is markup."""
    folder = tmp_path_factory.mktemp("browser") / "run"
    cheap = {"latency": 1.0, "cost": 0.5, "idle": 0.5}
    described = [scenario(), scenario("half", gpus=1.0), scenario("cheap", weights=cheap)]
    names = ("static", LONG, "<script>alert(1)</script>")
    known(folder, names=names, families=[part(one) for one in described])
    return folder / "report.html", write_report(folder)


def luminance(colour):
    """Relative luminance, WCAG 2.2."""
    parts = np.asarray(colour) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_figure_is_seen(report, viewport, scheme):
    path, page_model = report
    said, asked = [], []
    with open_browser(viewport=viewport, color_scheme=scheme, offline=True) as page:
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        page.evaluate(UNFOLD)
        assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
        places = page.evaluate(PLACES)
        picture = page.screenshot(full_page=True)
        colours = page.evaluate(CONTRAST)
    assert said == []
    assert asked == [path.as_uri()]
    assert {place["name"] for place in places} == {figure.name for figure in page_model.figures}
    shot = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    for place in places:
        check_drawing(place, shot)
    ground = colours["page"]
    assert luminance(ground) > 0.9 if scheme == "light" else luminance(ground) < 0.05
    # WCAG 2.2: 4.5 for text. The palette's pale colours have markers, dashes and names, too.
    assert min(contrast(ground, colour) for colour in colours["words"]) >= 4.5
    assert min(contrast(ground, colour) for colour in colours["marks"]) >= 2


def check_drawing(place, shot):
    """Hold a drawing to its size, its words, and colours in the picture of the page."""
    assert place["width"] >= 300, place
    assert place["height"] >= 60, place
    assert place["inside"], place
    assert place["size"] >= 8, place
    assert place["clashes"] == [], place
    x, y = round(place["x"]), round(place["y"])
    region = shot[y : y + round(place["height"]), x : x + round(place["width"])]
    coloured = region[np.ptp(region, axis=2) > 40].astype(int)
    assert len(np.unique(coloured @ [65536, 256, 1])) >= 10, place


def test_the_numbers_can_be_saved(report):
    path, model = report
    with open_browser() as page:
        page.goto(path.as_uri())
        name = model.figures[0].name
        with page.expect_download() as download:
            page.click(f"figure#{name} a[download]")
        saved = download.value.path().read_text()
    assert saved == (path.parent / "figures" / f"{name}.csv").read_text()


def test_a_printed_page_is_unfolded_and_light(report):
    path, model = report
    with open_browser(color_scheme="dark") as page:
        page.goto(path.as_uri())
        page.emulate_media(media="print")
        heights = [place["height"] for place in page.evaluate(PLACES)]
        colours = page.evaluate(CONTRAST)
    assert min(heights) > 0
    assert len(heights) > len(model.figures)
    assert luminance(colours["page"]) > 0.9
    assert min(contrast(colours["page"], colour) for colour in colours["words"]) >= 4.5


class TestWithoutABrowser:
    def run(self, tmp_path, **environment):
        test = tmp_path / "test_it.py"
        test.write_text(
            "from slicegym_tests.browser import open_browser\n\n\n"
            "def test_it():\n    with open_browser():\n        pass\n"
        )
        folder = tmp_path / "slicegym_tests"
        folder.mkdir()
        (folder / "browser.py").write_text(Path(browser.__file__).read_text())
        command = (sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", str(test))
        variables = {"PATH": "", "PYTHONPATH": str(tmp_path), **environment}
        return subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True)

    def test_it_is_skipped_with_the_reason(self, tmp_path):
        assert "SKIPPED [1]" in (out := self.run(tmp_path).stdout)
        assert "no Chromium on the path" in out

    def test_it_fails_in_ci(self, tmp_path):
        done = self.run(tmp_path, CI="true")
        assert done.returncode == 1
        assert "CI is set" in done.stdout
