"""The command line `slicegym-eval`: thin wiring, one function a command."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from . import (
    bound_cmd,
    compare_cmd,
    losses_cmd,
    picture_cmd,
    report_cmd,
    table_cmd,
    tensorboard_cmd,
    trace_cmd,
    tune_cmd,
)
from .options import (
    EngineOption,
    JobsOption,
    JsonOption,
    NoBoundOption,
    OutOption,
    RayAddressOption,
    ResumeOption,
    check_json,
    deliver,
    split_specs,
)
from .submissions import cmd as submission_cmd

PROGRAM = "slicegym-eval"
app = typer.Typer(
    name=PROGRAM,
    help="Evaluate allocators of serverless GPU capacity: same tapes, same reward for all.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def examples(*lines: str) -> str:
    """Return the end of a command's help; the mark in front keeps its lines as they are."""
    return "\n  ".join(("\b\nExamples:", *lines))


@app.command(
    epilog=examples(
        "slicegym-eval run --suite azure-heldout --allocators static,adaptive,demand",
        "slicegym-eval run --suite bursty-train --allocators static,round_robin:quantum=10",
        "slicegym-eval run --suite azure-heldout --allocators static,learned:DIR --out results",
        "slicegym-eval run --suite heldout --allocators static,demand,ppo --out results",
        "slicegym-eval run --suite heldout --allocators static,demand,ppo --out results --resume",
        "slicegym-eval run --suite heldout --out results --engine ray --ray-address HOST:6379",
        "slicegym-eval run --suite my.yaml --no-bound --json -",
    ),
)
def run(
    suite: Annotated[
        str,
        typer.Option(
            help="SCENARIO-SPLIT; train, validation or heldout for all families; or a suite's YAML."
        ),
    ],
    allocators: Annotated[
        str,
        typer.Option(
            help="Names by comma; parameters follow a colon: round_robin:quantum=5, learned:DIR."
        ),
    ] = "static,round_robin,adaptive,demand",
    episodes: Annotated[
        int | None, typer.Option(min=1, help="Play only each family's first episodes.")
    ] = None,
    out: OutOption = None,
    resume: ResumeOption = False,
    series: Annotated[
        str, typer.Option(help="Episodes whose series are kept in --out: first, all or none.")
    ] = "first",
    json_target: JsonOption = None,
    no_bound: NoBoundOption = False,
    jobs: JobsOption = None,
    engine: EngineOption = "local",
    ray_address: RayAddressOption = None,
) -> None:
    """Play allocators over the tapes of a suite, and compare.

    Every allocator is scored by the scenario's one reward, with its three terms beside it. The
    interval is Student's, at 95 %, of the paired difference to static over the suite's
    independent blocks.

    The clairvoyant bound is what nobody could earn more than on these tapes, even knowing all of
    them beforehand; the score is 0 at static and 1 at the bound. A bound takes some seconds a tape
    the first time, and is then kept in the cache folder.

    With --engine ray the episodes are played by a Ray cluster: one on this machine, or the one at
    --ray-address, whose workers need the same package and the suite's traces. Rows are the same.

    Of several families there is a table each. Who cannot play one of them is named at the end,
    with the reason.
    """
    from . import engines, report, session
    from .table_report import as_table

    result = session.evaluate(
        suite,
        split_specs(allocators),
        episodes,
        out,
        bound=not no_bound,
        engine=engines.make_engine(engine, jobs, ray_address),
        quiet=json_target == "-",
        target=json_target,
        series=series,
        resume=resume,
    )
    if "summary" in result:
        show = report.suite_report(suite, result["summary"])
    else:
        show = as_table(result)
    deliver(result, json_target, show)


@app.command(
    epilog=examples(
        "slicegym-eval paper",
        "slicegym-eval paper --json -",
    ),
)
def paper(json_target: JsonOption = None) -> None:
    """Reproduce the paper's table and print both.

    The case of Zhang, Guo and Tan (arXiv 2512.22149): static, round-robin and their Algorithm 1
    beside Table II, with what is and isn't reproduced, and why.
    """
    from . import paper as case
    from . import report

    check_json(json_target)
    table = case.reproduce()
    deliver(case.as_json(table), json_target, report.paper_report(table))


@app.command(
    "list",
    epilog=examples(
        "slicegym-eval list",
        "slicegym-eval list --json -",
    ),
)
def list_(json_target: JsonOption = None) -> None:
    """Name every allocator, scenario, suite and trace."""
    from . import catalogue

    check_json(json_target)
    content = catalogue.catalogue()
    deliver(content, json_target, catalogue.as_table(content))


@app.command(
    epilog=examples(
        "slicegym-eval traces",
        "SLICEGYM_TRACES=~/traces slicegym-eval traces",
    ),
)
def traces(json_target: JsonOption = None) -> None:
    """List the real traces, and where each is found.

    Traces are looked for in $SLICEGYM_TRACES, then in the cache folder, then downloaded when a
    suite needs them. A file with a wrong checksum is an error.
    """
    from . import traces_cmd

    check_json(json_target)
    content = traces_cmd.trace_table()
    deliver(content, json_target, traces_cmd.as_table(content))


app.command(epilog=examples(*bound_cmd.EXAMPLES))(bound_cmd.bound)
app.command(epilog=examples(*table_cmd.EXAMPLES))(table_cmd.table)
app.command(epilog=examples(*compare_cmd.EXAMPLES))(compare_cmd.compare)
app.command(epilog=examples(*submission_cmd.SUBMIT))(submission_cmd.submit)
app.command(epilog=examples(*submission_cmd.VERIFY))(submission_cmd.verify)
app.command(epilog=examples(*submission_cmd.LEADERBOARD))(submission_cmd.leaderboard)
app.command(epilog=examples(*report_cmd.EXAMPLES))(report_cmd.report)
app.command(epilog=examples(*tensorboard_cmd.EXAMPLES))(tensorboard_cmd.tensorboard)
app.command(epilog=examples(*trace_cmd.EXAMPLES))(trace_cmd.trace)
app.command(epilog=examples(*picture_cmd.EXAMPLES))(picture_cmd.picture)


@app.command(
    epilog=examples(
        "slicegym-eval bench",
        "slicegym-eval bench --quick --json -",
        "slicegym-eval bench --engines",
    ),
)
def bench(
    json_target: JsonOption = None,
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of the work: a look.")] = False,
    engines: Annotated[
        bool, typer.Option("--engines", help="What local processes and Ray cost, in place of that.")
    ] = False,
) -> None:
    """Measure the speed of kernel, environments and training, or of engines.

    All figures are taken on one core, in the same run and on distinct tapes: of the simulator, of
    256 environments of every shipped scenario, of decisions with up to 1,024 agents, of training.

    SimPy and Ciw run the same M/M/1 where they are installed (slicegym[bench]), and PPO where
    torch is (slicegym[train]); a figure that cannot be taken is null, with the reason.

    With --engines a suite of 1,000 cells is played by one process, by two and by Ray with two
    workers, and what a cluster would need for more is reckoned from that.
    """
    from . import bench as benchmark
    from . import bench_engines, bench_report

    check_json(json_target)
    if engines:
        content = bench_engines.measure(quick=quick, quiet=json_target == "-")
        deliver(content, json_target, bench_report.engines_table(content))
        return
    content = benchmark.measure(quick=quick, quiet=json_target == "-")
    deliver(content, json_target, bench_report.as_table(content))


app.command(epilog=examples(*losses_cmd.EXAMPLES))(losses_cmd.losses)
app.command(epilog=examples(*tune_cmd.EXAMPLES))(tune_cmd.tune)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit with 2 and one line on a refusal, with 130 on Ctrl-C."""
    sys.exit(run_app(app, PROGRAM, arguments))


def run_app(application: typer.Typer, program: str, arguments: list[str] | None = None) -> int:
    """Run a typer application and return its exit status, printing errors as one plain line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal without × shows ? instead of failing
            stream.reconfigure(errors="replace")
    command = typer.main.get_command(application)
    asked = sys.argv[1:] if arguments is None else arguments
    try:
        status = command.main(args=asked or ["--help"], prog_name=program, standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        return _fail(program, "interrupted", 130)
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, TypeError, OSError) as error:
        if os.environ.get("SLICEGYM_TRACEBACK"):
            raise
        return _fail(program, f"error: {error}", 2)
    except Exception as error:
        # Usage errors: their class is click's or typer's own, depending on typer's version.
        if not hasattr(error, "format_message"):
            raise
        return _fail(program, f"error: {error.format_message()}", getattr(error, "exit_code", 2))
    if status == 130:  # typer's word for Ctrl-C
        return _fail(program, "interrupted", 130)
    return status if isinstance(status, int) else 0


def _fail(program: str, message: str, status: int) -> int:
    one_line = " ".join(message.split())
    print(f"{program}: {one_line}", file=sys.stderr)
    return status
