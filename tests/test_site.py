"""The hooks of the documentation's site: where links lead, and what may not be fetched."""

import importlib.util
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("mkdocs", reason="the site needs slicegym[docs]")

ROOT = Path(__file__).parents[1]


def hook(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "hooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


repository, reference, offline = map(hook, ("repository", "reference", "offline"))


def page(uri):
    return SimpleNamespace(file=SimpleNamespace(src_uri=uri))


@pytest.mark.parametrize(
    ("uri", "link", "led"),
    [
        ("bound.md", "zoo.md", "zoo.md"),
        ("families/bursty.md", "../bound.md#score", "../bound.md#score"),
        ("bound.md", "../README.md", "index.md"),
        ("architecture.md", "../CONTRIBUTING.md#tests", "repository/CONTRIBUTING.md#tests"),
        (
            "families/paper.md",
            "../../configs/scenarios/paper.yaml",
            "../repository/configs/scenarios/paper.yaml.md",
        ),
        ("families/faults.md", "../../envs/faults/", "../repository/envs/faults/index.md"),
        ("index.md", "docs/families/README.md", "families/README.md"),
        ("repository/CONTRIBUTING.md", "docs/zoo.md", "../zoo.md"),
        ("repository/configs/zoo/bursty/card.md", "curves.png", "curves.png"),
        ("repository/envs/faults/index.md", "base.py", "base.py.md"),
        ("bound.md", "nowhere.md", "nowhere.md"),
        ("bound.md", "https://example.org/zoo.md", "https://example.org/zoo.md"),
        ("bound.md", "../../outside.md", "../../outside.md"),
        ("bound.md", "#score", "#score"),
    ],
)
def test_links_lead_to_what_stands_for_their_targets(uri, link, led):
    text = f"See [it]({link}), or ![it]({link})."
    expected = f"See [it]({led}), or ![it]({led})."
    assert repository.on_page_markdown(text, page(uri), None, None) == expected


@pytest.mark.parametrize("path", ["README.md", "configs/gpus.yaml", "envs/faults", "docs/zoo.md"])
def test_a_page_knows_what_it_shows(path):
    assert repository.origin(repository.uri(path)) == path


def test_code_is_shown_whole():
    shown = repository.as_page("configs/gpus.yaml")
    assert shown.startswith("# `configs/gpus.yaml`\n")
    assert (ROOT / "configs" / "gpus.yaml").read_text(encoding="utf-8") in shown


def test_modules_have_names_and_summaries():
    assert reference.module(ROOT / "envs" / "spec.py") == "slicegym.envs.spec"
    assert reference.module(ROOT / "eval" / "runs" / "__init__.py") == "slicegym.eval.runs"
    first = reference.summary(ROOT / "envs" / "__init__.py")
    assert (
        first
        == "The world: scenarios, tapes, workloads, the simulator and the Gymnasium environments."
    )


@pytest.mark.parametrize(
    ("html", "fetched"),
    [
        ('<script src="https://example.org/a.js"></script>', "https://example.org/a.js"),
        ('<img alt="x" src="//example.org/a.png">', "//example.org/a.png"),
        ('<link rel="stylesheet" href="http://example.org/a.css">', "http://example.org/a.css"),
        ('<a href="https://example.org">there</a> <img src="assets/a.png">', None),
        ('<link rel="canonical" href="https://example.org/">', None),
    ],
)
def test_what_a_page_fetches_from_elsewhere_is_a_warning(html, fetched, caplog):
    with caplog.at_level(logging.WARNING):
        assert offline.on_post_page(html, page("bound.md"), None) == html
    expected = [] if fetched is None else [f"bound.md fetches {fetched}; keep it in docs/"]
    assert [record.getMessage() for record in caplog.records] == expected
