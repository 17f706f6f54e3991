"""The command line. Each command loads its config and makes one call."""

from __future__ import annotations

import errno
import os
import signal
import sys
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from search import volume_commands
from search.options import (
    AsJson,
    ConfigFile,
    MaskInstead,
    RawInstead,
    Settings,
    print_json,
)

# Nothing heavy is imported here: `--help` answers at once.

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Find the best U-Net for a microscopy volume.",
)

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_PATHS = (
    errno.EACCES,
    errno.EEXIST,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ENOTEMPTY,
    errno.EPERM,
    errno.EROFS,
)
"""What somebody else's path, or another's permission, can be the reason of."""


def main() -> None:
    """Runs a command and ends the process with its exit code.

    0 is done, 1 the work failed, 2 the input is wrong, 130 interrupted.
    """
    # A container is stopped by SIGTERM: half-written files are cleared away as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(_run())


def _run() -> int:
    from storage.errors import CheckpointError, StorageError
    from trainer.errors import Diverged, DownloadError, InputError

    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        return _refuse(f"{error.format_message().rstrip('.')}; see `unet-search --help`")
    except (CheckpointError, Diverged, DownloadError) as error:
        _refuse(str(error))
        return 1
    except (InputError, StorageError) as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse_path(error)
    except SystemExit as error:
        # How Typer and Rich end where whoever read the output has seen enough, as `head` has.
        if isinstance(error.__context__, BrokenPipeError):
            return 0
        raise
    except Exception as error:
        return _refuse_machine(error)
    return code if isinstance(code, int) else 0


def _refuse_path(error: OSError) -> int:
    """Says what the system did not allow with a file; without one the error is ours."""
    if error.errno in _DISK:
        # Whatever was being written, and be it the output itself.
        _refuse(f"{error.strerror}: make room, and give the command again")
        return 1
    if error.filename is None:
        raise error
    told = f"{os.fsdecode(error.filename)}: {error.strerror}"
    if error.errno in _PATHS:
        return _refuse(f"{told}; name another path, or see to the permissions of this one")
    _refuse(f"{told}; see to the file system, and give the command again")
    return 1


def _refuse_machine(error: Exception) -> int:
    """Says what memory or the database did not give; any other error is ours."""
    from optuna.exceptions import StorageInternalError

    from search.errors import first_line
    from search.guard import is_out_of_memory

    if isinstance(error, StorageInternalError):
        cause = getattr(error.__cause__, "orig", None) or error
        _refuse(
            f"the study database cannot be used ({first_line(cause)}): see to it, and try again"
        )
        return 1
    if not is_out_of_memory(error):
        raise error
    _refuse(f"out of memory ({first_line(error)}): free some, or take a machine that has more")
    return 1


def _refuse(message: str) -> int:
    sys.stderr.write("unet-search: " + " ".join(message.split()) + "\n")
    return 2


@app.command()
def run(
    config: ConfigFile,
    trials: Annotated[
        int | None, typer.Option(min=1, help="The study's total number of trials.")
    ] = None,
    hours: Annotated[float | None, typer.Option(help="The study's total hours.")] = None,
    raw: RawInstead = None,
    mask: MaskInstead = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> int:
    """Start the search, or go on with the one of the same study name."""
    from search.config import load_config
    from search.presentation import present_result, result_row
    from search.run import SearchRun
    from search.terminal import say

    loaded = load_config(
        config,
        settings or (),
        budget__trials=trials,
        budget__hours=hours,
        data__raw=raw and str(raw),
        data__mask=mask and str(mask),
    )
    result = SearchRun(loaded, announce=say).run()
    if as_json:
        print_json(result_row(result))
    else:
        options = {"--trials": trials, "--hours": hours, "--raw": raw, "--mask": mask}
        given = [(name, str(value)) for name, value in options.items() if value is not None]
        given += [("--set", setting) for setting in settings or ()]
        present_result(result, loaded, [str(config), *chain.from_iterable(given)])
    return {"done": 0, "failed": 1, "interrupted": 130}[result.ending.kind]


@app.command()
def check(
    config: ConfigFile,
    raw: RawInstead = None,
    mask: MaskInstead = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Validate config, data, database and device, and estimate time and disk."""
    from search.check import check as check_search
    from search.config import load_config
    from search.presentation import present_check

    loaded = load_config(
        config, settings or (), data__raw=raw and str(raw), data__mask=mask and str(mask)
    )
    facts = check_search(loaded)
    if as_json:
        print_json(facts)
    else:
        present_check(facts)


@app.command()
def status(config: ConfigFile, settings: Settings = None, as_json: AsJson = False) -> None:
    """Show what is running, done, pruned and failed, and why."""
    from search.presentation import present_status
    from search.results import status_row
    from search.study import find_finalists, find_holder

    loaded, study = _open(config, settings)
    budget, holder = loaded.build_budget(), find_holder(loaded)
    beside = find_finalists(loaded, study)
    row = status_row(study, budget, loaded.logs, loaded.checkpoints, holder=holder, beside=beside)
    if as_json:
        print_json(row)
    else:
        present_status(row)


@app.command()
def enqueue(
    config: ConfigFile,
    params: Annotated[str, typer.Option(help="JSON, such as '{\"learning_rate\": 0.001}'.")],
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Try these values next; dimensions that are not named are drawn by the sampler."""
    from search.enqueue import enqueue_params, what_follows
    from search.terminal import say

    loaded, study = _open(config, settings)
    number = enqueue_params(loaded, study, params)
    if as_json:
        print_json({"number": number})
    else:
        say(f"trial {number} is waiting: {what_follows(loaded, study)}")


@app.command()
def best(
    config: ConfigFile,
    top: Annotated[int, typer.Option(min=1, help="How many trials.")] = 5,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Show the best trials: parameters, scores, and where the model is."""
    from search.presentation import present_best
    from search.results import best_rows

    loaded, study = _open(config, settings)
    rows = best_rows(study, loaded, top)
    if as_json:
        print_json(rows)
    else:
        present_best(rows)


@app.command()
def export(
    config: ConfigFile,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    trial: Annotated[int | None, typer.Option(help="A trial in place of the winner.")] = None,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="The best trials as one model.")
    ] = False,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Write the model as .keras, SavedModel, ONNX and bioimage.io package, with a model card."""
    from search.export import export_trial
    from search.presentation import present_export

    loaded, study = _open(config, settings)
    card = export_trial(loaded, study, out, trial, ensemble=ensemble)
    if as_json:
        print_json(card)
    else:
        present_export(card, out)


@app.command()
def report(
    config: ConfigFile,
    out: Annotated[Path, typer.Option(help="Folder for report.html and report.json.")],
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Write the study as one HTML page: course, importances, interactions, finalists."""
    from search.report import write_report
    from search.terminal import say

    loaded, study = _open(config, settings)
    facts = write_report(loaded, study, out)
    if as_json:
        print_json(facts)
    else:
        say(f"study {facts['study']} written to {facts['files'][0]}")


@app.command()
def dashboard(
    config: ConfigFile,
    port: Annotated[int, typer.Option(min=1, max=65535, help="To listen on.")] = 8080,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Anybody who reaches it can delete studies.")
    ] = "127.0.0.1",
    wait: Annotated[
        bool, typer.Option("--wait", help="For a study that has yet to begin.")
    ] = False,
    settings: Settings = None,
) -> None:
    """Serve optuna-dashboard on this study, with the pictures and the log of every trial."""
    from search.config import load_config
    from search.dashboard import serve_dashboard

    serve_dashboard(load_config(config, settings or ()), host, port, wait=wait)


@app.command()
def simulate(
    config: Annotated[Path | None, typer.Argument(help="A TOML file.")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Of the whole study.")] = None,
    slots: Annotated[int, typer.Option(min=1, help="Trials at a time.")] = 1,
    epoch_seconds: Annotated[
        float, typer.Option(help="Of a middling network, as check measures it.")
    ] = 60.0,
    curves: Annotated[
        Path | None, typer.Option(help="What status --json printed of a real study.")
    ] = None,
    price: Annotated[float | None, typer.Option(help="Of a device hour.")] = None,
    lost_share: Annotated[
        float, typer.Option(min=0, max=1, help="Of epochs, how many lose their worker, 0 to 1.")
    ] = 0.0,
    memory_share: Annotated[
        float, typer.Option(min=0, max=1, help="Of epochs, how many run out of memory.")
    ] = 0.0,
    diverged_share: Annotated[
        float, typer.Option(min=0, max=1, help="Of epochs, how many end in no numbers.")
    ] = 0.0,
    seed: Annotated[int | None, typer.Option(min=0, help="In place of the config's.")] = None,
    as_json: AsJson = False,
) -> int:
    """Run the search on simulated workers: how long would it take, and what would it cost?"""
    from dataclasses import asdict

    from search.presentation import present_simulation
    from search.simulate import Assumptions, load_simulated
    from search.simulate import simulate as simulate_search
    from search.terminal import say

    loaded = load_simulated(
        config, budget__trials=trials, budget__price_per_device_hour=price, study__seed=seed
    )
    assumptions = Assumptions(
        slots=slots,
        epoch_seconds=epoch_seconds,
        curves=curves,
        lost_share=lost_share,
        memory_share=memory_share,
        diverged_share=diverged_share,
    )
    forecast = simulate_search(loaded, assumptions, announce=say)
    if as_json:
        print_json(asdict(forecast))
    else:
        present_simulation(forecast)
    return 0 if forecast.ending == "done" else 1


def _open(config: Path, settings: list[str] | None) -> tuple[Any, Any]:
    from search.config import load_config
    from search.study import find_study

    loaded = load_config(config, settings or ())
    return loaded, find_study(loaded)


app.add_typer(volume_commands.app)
