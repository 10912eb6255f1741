"""Every tutorial is walked as a reader would: files are saved, commands run, outputs compared."""

import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[1] / "docs" / "tutorials"
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```", re.M | re.S)
COMMANDS = {
    "slicegym-eval": "from slicegym.eval.cli import main; main()",
    "slicegym-train": "from slicegym.train.cli import main; main()",
}


def environment(folder):
    """Put the commands of this checkout, and this Python, in front of all others."""
    folder.mkdir()
    for name, code in COMMANDS.items():
        write_command(folder / name, f"-c {shlex.quote(code)}")
    write_command(folder / "python", "")
    return {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "SLICEGYM_CACHE": str(folder / "cache"),
    }


def write_command(path, arguments):
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {arguments} "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.md")), ids=lambda path: path.stem)
def test_a_tutorial_does_what_it_says(path, tmp_path):
    known, here = environment(tmp_path / "commands"), tmp_path / "here"
    here.mkdir()
    blocks = BLOCK.findall(path.read_text(encoding="utf-8"))
    said, commands = "", 0
    for language, title, content in blocks:
        if title:
            (here / title).write_text(content, encoding="utf-8")
        elif language == "sh":
            command = ["bash", "-euo", "pipefail", "-c", content]
            done = subprocess.run(command, cwd=here, env=known, capture_output=True, text=True)
            assert done.returncode == 0, f"{content}\n{done.stdout}\n{done.stderr}"
            said, commands = done.stdout, commands + 1
        elif language == "text":
            lines = {line.rstrip() for line in said.splitlines()}
            assert [line for line in content.splitlines() if line.rstrip() not in lines] == []
        else:
            pytest.fail(f"{path.name}: a block of {language} is neither saved nor run")
    assert commands
