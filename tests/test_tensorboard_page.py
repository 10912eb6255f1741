"""The real TensorBoard, in a real browser, shows what was evaluated and what was trained."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager

import pytest
import yaml

from slicegym.eval.curves.write import write_runs
from slicegym.eval.results import load_results
from slicegym.eval.session import evaluate
from slicegym.train.ppo import train

from .browser import open_browser
from .training import SCENARIO

pytestmark = [pytest.mark.slow, pytest.mark.browser]

PATIENCE_S = 120
EVALUATED = ("static", "demand", "round_robin:quantum=2")
RUNS = [
    *("small/bound", "small/demand", "small/round_robin_quantum=2", "small/static"),
    *("training/bound", "training/demand", "training/ppo", "training/static"),
]


@pytest.fixture(scope="module")
def logs(tmp_path_factory, configured):
    """A folder with the runs of an evaluation and of a training on the same suite."""
    folder = tmp_path_factory.mktemp("logs")
    (folder / "small.yaml").write_text(yaml.safe_dump(SCENARIO))
    suite = f"{folder / 'small.yaml'}-validation"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLICEGYM_CACHE", str(folder / "cache"))
        evaluate(suite, EVALUATED, out=folder / "results", quiet=True)
        trained = train(configured(bound=True), folder / "run").folder
    shown = folder / "logs"
    write_runs(load_results(folder / "results"), shown, timesteps=1024)
    (trained / "tensorboard").rename(shown / "training")
    return shown


@contextmanager
def serve(folder):
    """Start TensorBoard on a folder, at a port that is free, and yield its address."""
    command = (sys.executable, "-m", "tensorboard.main", "--logdir", str(folder))
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    try:
        said = ""
        for line in process.stdout:
            said += line
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield found[0]
                break
        else:
            pytest.fail(f"TensorBoard did not start:\n{said}")
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


class Data:
    """The answers of TensorBoard's plugins."""

    def __init__(self, address):
        self.address = address

    def __call__(self, path, **query):
        url = f"{self.address}/data/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url) as answer:
            return json.load(answer)

    def post(self, path, content):
        request = urllib.request.Request(
            f"{self.address}/data/{path}",
            json.dumps(content).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def wait(self):
        """Wait until all event files are read to their ends."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            tags = self("plugin/scalars/tags")
            if sorted(tags) == RUNS and all("validation/reward" in t for t in tags.values()):
                steps = self("plugin/scalars/scalars", run="training/ppo", tag="validation/reward")
                if steps[-1][1] == 1024:
                    return
            time.sleep(0.2)
        pytest.fail(f"TensorBoard has not read everything, but {self('runs')}")


@pytest.fixture(scope="module")
def data(logs):
    with serve(logs) as address:
        found = Data(address)
        found.wait()
        yield found


@pytest.fixture(scope="module")
def page(data):
    with open_browser() as page:
        page.set_default_timeout(1000 * PATIENCE_S)
        yield page


def show(page, data, plugin):
    page.goto(f"{data.address}/#{plugin}")
    page.reload()  # another fragment alone loads nothing


def drawn(page, tag):
    """Return the runs in the chart of a curve, with the value that is shown last."""
    card = page.locator("scalar-card").filter(has=page.locator(f'[title="{tag}"]'))
    card.scroll_into_view_if_needed()
    rows = card.locator("tb-data-table-content-row")
    rows.first.wait_for()
    cells = [re.split(r"\s+", text.strip()) for text in rows.all_inner_texts()]
    assert card.locator("line-chart canvas").count() == 1
    return {run: float(value.replace("−", "-")) for run, _, value, *_ in cells}


def last(data, run, tag):
    return data("plugin/scalars/scalars", run=run, tag=tag)[-1][2]


def test_curves_of_all_lie_in_one_chart(data, page):
    show(page, data, "timeseries")
    page.locator("metrics-tag-filter input").fill("^validation/reward$")
    page.locator('scalar-card [title="validation/reward"]').wait_for()
    shown = drawn(page, "validation/reward")
    assert sorted(shown) == RUNS
    for run in RUNS:
        assert shown[run] == pytest.approx(last(data, run, "validation/reward"), abs=1e-3)
    for name in ("static", "demand", "bound"):
        assert shown[f"training/{name}"] == pytest.approx(shown[f"small/{name}"], abs=1e-3)
    assert max(shown.values()) == shown["small/bound"]


def test_shares_of_every_allocator_lie_in_one_chart(data, page):
    show(page, data, "timeseries")
    page.locator("metrics-tag-filter input").fill("^share/a$")
    page.locator('scalar-card [title="share/a"]').wait_for()
    shown = drawn(page, "share/a")
    assert sorted(shown) == ["small/demand", "small/round_robin_quantum=2", "small/static"]
    assert shown["small/static"] == pytest.approx(1.0, abs=2e-3)  # half of two GPUs


def test_the_chosen_charts_overlay_the_runs(data, page):
    show(page, data, "custom_scalars")
    cards = page.locator("tf-custom-scalar-multi-line-chart-card")
    reward = cards.filter(has_text="reward").first
    reward.get_by_text(f"Matches ({len(RUNS)})").wait_for()
    names = {
        " ".join(text.split()) for text in reward.locator(".match-list-entry").all_inner_texts()
    }
    assert names == {f"◼ validation/reward ({run})" for run in RUNS}
    assert reward.locator(".line-plot:not(.ghost) path.line").count() == len(RUNS)
    layout = data("plugin/custom_scalars/layout")["category"]
    assert [category["title"] for category in layout] == [
        "validation: means over the suite",
        "Episode by episode",
        "One episode, decision by decision",
        "Shares of that episode [GPU]",
        "Queues of that episode [calls]",
    ]
    for category in layout:
        page.get_by_text(category["title"], exact=True).first.wait_for()


def test_the_table_lists_parameters_and_figures(data, page):
    show(page, data, "hparams")
    page.get_by_text("round_robin:quantum=2").first.wait_for()
    every = {
        "allowedStatuses": ["STATUS_SUCCESS", "STATUS_UNKNOWN", "STATUS_RUNNING"],
        "sliceSize": 99,
    }
    columns = data.post("plugin/hparams/experiment", {})
    names = [info["name"] for info in columns["hparamInfos"]]
    assert names[:2] == ["allocator", "family"]
    assert "parameters.round_robin.quantum" in names
    metrics = [info["name"]["tag"] for info in columns["metricInfos"]]
    assert metrics[:2] == ["validation/reward", "validation/score"]
    request = {**every, "colParams": [{"metric": {"tag": "validation/reward", "group": ""}}]}
    found = data.post("plugin/hparams/session_groups", request)["sessionGroups"]
    rewards = {
        group["hparams"]["allocator"]: metric["value"]
        for group in found
        for metric in group["metricValues"]
        if metric["name"]["tag"] == "validation/reward"
    }
    assert set(rewards) == set(EVALUATED)
    assert rewards["demand"] == pytest.approx(last(data, "small/demand", "validation/reward"))


def test_episodes_are_pictured(data, page):
    show(page, data, "images")
    picture = page.locator("tf-image-loader img").first
    picture.wait_for()
    page.wait_for_function("e => e.naturalWidth > 0", arg=picture.element_handle())
    assert picture.evaluate("e => [e.naturalWidth, e.naturalHeight]") == [960, 440]
    tags = data("plugin/images/tags")
    assert {run: list(images) for run, images in tags.items()} == {
        run: ["episode"] for run in RUNS if run.startswith("small/") and run != "small/bound"
    }
