"""What the documents show is true: code runs, links lead somewhere, targets exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from slicegym.envs.loading import is_scenario_name, scenario_names

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CODE = [
    pytest.param(code, id=f"{path.relative_to(ROOT)}-{number}")
    for path in DOCUMENTS
    for number, code in enumerate(
        re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S), start=1
    )
]
# Each page of docs/families/ but the table of all and what they share.
FAMILIES = sorted(
    page
    for page in (ROOT / "docs" / "families").glob("*.md")
    if page.name not in ("README.md", "constants.md")
)
MAX_PICTURE_BYTES = 120_000
MIN_CONSTANTS = 5
family = pytest.mark.parametrize("page", FAMILIES, ids=lambda page: page.stem)
named = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


@pytest.mark.parametrize("code", CODE)
def test_code_runs(code: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@named
def test_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (path.parent / target).exists()] == []


@named
def test_make_targets_exist(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    mentioned = re.findall(r"(?:^|`)make ([a-z-]+)", path.read_text(encoding="utf-8"), re.M)
    assert set(mentioned) <= targets


def pages_that_show(scenario: str) -> list[str]:
    link = f"](../../configs/scenarios/{scenario}.yaml)"
    return [page.stem for page in FAMILIES if link in page.read_text(encoding="utf-8")]


def section(page: Path, heading: str) -> str:
    """What stands under a heading of a page, up to the next one; empty without it."""
    text = page.read_text(encoding="utf-8")
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("scenario", scenario_names())
def test_every_scenario_is_on_the_page_of_one_family(scenario: str) -> None:
    assert len(pages_that_show(scenario)) == 1, (
        f"one page of docs/families/ must link to configs/scenarios/{scenario}.yaml, "
        f"got {pages_that_show(scenario)}"
    )


@family
def test_a_family_has_a_picture_and_says_how_it_was_made(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    pictures = [page.parent / name for name in re.findall(r"!\[[^]]+\]\(([^)]+\.png)\)", text)]
    assert pictures
    assert all(picture.stat().st_size < MAX_PICTURE_BYTES for picture in pictures)
    made = re.findall(r"`slicegym-eval picture (\S+) [^`]*--out (\S+)`", text)
    assert sorted(name for _, name in made) == sorted(picture.name for picture in pictures)
    assert all(is_scenario_name(scenario) for scenario, _ in made)


@family
def test_a_family_has_its_formula_and_its_constants(page: Path) -> None:
    assert section(page, "Formula").strip()
    header, rule, *rows = re.findall(r"^\|.*\|$", section(page, "Constants"), re.M)
    assert header.startswith("| constant | value |")
    assert set(rule) <= set("|-")
    assert len(rows) >= MIN_CONSTANTS
    assert "](constants.md)" in section(page, "Constants")


@family
def test_a_family_is_in_the_table_of_families(page: Path) -> None:
    table = (page.parent / "README.md").read_text(encoding="utf-8").partition("\n## ")[0]
    assert f"]({page.name}) |" in table
