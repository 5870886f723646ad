"""The command line: parses, calls, prints. Everything it does can be had from the modules it imports."""

from __future__ import annotations

import json
import signal
import sys
import time
from dataclasses import asdict
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.config import load_inventory, load_profile, load_study
from harness.config.inventory import DeviceEntry, entry_of, find_inventory
from harness.errors import DeviceError, HarnessError, UsageError
from harness.interrupt import EXIT_INTERRUPTED, stopped_by_interrupt

if TYPE_CHECKING:
    from harness.deploy import OnnxAgreement
    from harness.results.records import DeviceRun

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Search compressed networks for tiny devices and measure every candidate on the device.",
)
devices_app = typer.Typer(no_args_is_help=True, help="What is in the inventory, and whether it answers.")
app.add_typer(devices_app, name="devices")

Root = Annotated[Path, typer.Option(help="Folder that holds the studies.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
InventoryFile = Annotated[
    Path | None, typer.Option("--inventory", help="Inventory; default ./devices.yaml, else the built-in emulators.")
]
Study = Annotated[str, typer.Argument(help="Name of a study, or its folder.")]
_ROOT = Path("studies")


class ExportFormat(StrEnum):
    """What `harness export` writes."""

    C = "c"
    ONNX = "onnx"
    FIRMWARE = "firmware"


_WIDE = 140  # where there is no terminal to fit: a pipe or a file
_out = Console(width=None if sys.stdout.isatty() else _WIDE)
_err = Console(stderr=True, width=None if sys.stderr.isatty() else _WIDE)


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed, 2 usage, 3 devices, 130 interrupted."""
    try:
        app()
    except HarnessError as error:
        _say(f"error: {error}", _err, style="bold red")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _print_version(asked: bool) -> None:
    if asked:
        _say(f"harness {version('dccdka-harness')}")
        raise typer.Exit


@app.callback()
def _for_all_commands(
    asked: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options that go before a command."""


@app.command(epilog="Example: harness search harness/studies/quickstart.yaml --resume")
def search(
    study: Annotated[Path, typer.Argument(help="The study's YAML file.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the study if it exists.")] = False,
    root: Root = _ROOT,
    as_json: AsJson = False,
) -> None:
    """Search recipes, train what passes the gate, measure it on every device of the study."""
    config = load_study(study)
    from harness.study import search as run_search  # torch and ray take seconds to import: bad input is told before
    from harness.view import View

    finished = run_search(config, study, root, resume, View(_err, quiet=as_json))
    front(config.name, root=root, as_json=as_json)
    if not finished:
        sys.exit(EXIT_INTERRUPTED)


@app.command(epilog="Example: harness front quickstart --json | jq '.candidates[] | select(.on_front)'")
def front(study: Study, root: Root = _ROOT, as_json: AsJson = False) -> None:
    """Show the Pareto front of a study, finished or not."""
    from harness.results.folder import journaled_config, journaled_objectives, open_journal
    from harness.results.front_report import as_object, as_tables

    journal = open_journal(study, root)
    objectives, name, candidates = journaled_objectives(journal), journaled_config(journal).name, journal.candidates()
    if as_json:
        found = as_object(name, candidates, objectives)
        _print_json({**found, "stage_seconds": journal.fact("stage_seconds") or {}})
    else:
        _out.print(as_tables(name, candidates, objectives, _out.width))


@devices_app.command("list", epilog="Example: harness devices list --json")
def devices_list(inventory: InventoryFile = None, as_json: AsJson = False) -> None:
    """List the devices of the inventory."""
    entries = load_inventory(find_inventory(inventory)).devices
    for entry in entries.values():
        load_profile(entry.profile)  # a misspelt one is told here and not only when the device is opened
    if as_json:
        _print_json({"devices": {name: entry.model_dump(mode="json") for name, entry in entries.items()}})
        return
    table = Table("device", "profile", "connection", "emulated")
    for name, entry in entries.items():
        cells = (name, entry.profile, _connection_text(entry), "yes" if entry.emulated else "no")
        table.add_row(*(Text(_plain(cell)) for cell in cells))
    _out.print(table)


@devices_app.command("check", epilog="Example: harness devices check f405-emulated")
def devices_check(
    names: Annotated[list[str] | None, typer.Argument(help="Devices; default all.")] = None,
    inventory: InventoryFile = None,
    as_json: AsJson = False,
) -> None:
    """Open every device and say hello; exit code 3 when one does not answer, 2 when one cannot be tried."""
    from harness.farm.single_run import say_hello

    path = find_inventory(inventory)
    known = load_inventory(path)
    entries = {name: entry_of(known, path, name) for name in names or known.devices}
    found: dict[str, dict[str, Any]] = {}
    exit_code = 0
    for name, entry in entries.items():
        began = time.monotonic()
        try:
            hello = say_hello(name, entry)
            found[name] = {"answers": True, "seconds": time.monotonic() - began, **asdict(hello)}
        except (DeviceError, UsageError) as error:
            found[name] = {"answers": False, "error": str(error)}
            exit_code = max(exit_code, error.exit_code)  # a lost device weighs more than a missing file
    if as_json:
        _print_json({"devices": found})
    else:
        for name, result in found.items():
            _say(_check_line(name, result))
    sys.exit(exit_code)


@app.command(epilog="Example: harness measure model.dcc --device f405-emulated --json")
def measure(
    artifact: Annotated[Path, typer.Argument(help="A packed model.")],
    device: Annotated[str, typer.Option(help="A device of the inventory.")],
    inputs: Annotated[int, typer.Option(help="How many random inputs to verify.", min=1, max=10_000)] = 32,
    inventory: InventoryFile = None,
    as_json: AsJson = False,
) -> None:
    """Verify an artifact on a device bit for bit, and measure it."""
    path = find_inventory(inventory)
    entry = entry_of(load_inventory(path), path, device)
    from harness.farm.single_run import artifact_from, random_inputs
    from harness.farm.single_run import measure as measure_on

    packed = artifact_from(artifact, inputs)
    run = measure_on(device, entry, packed, random_inputs(packed, inputs))
    if as_json:
        measurements = [{**asdict(m), "unit": m.unit} for m in run.measurements]
        _print_json({**asdict(run), "measurements": measurements})
        return
    _say_run(run)


@app.command(epilog="Example: harness tune --device f405-emulated --json")
def tune(
    device: Annotated[str, typer.Option(help="A device of the inventory.")],
    inventory: InventoryFile = None,
    as_json: AsJson = False,
) -> None:
    """Measure the convolution kernels on a device, and store with its profile what each of them costs.

    Studies that begin afterwards, with a target of this profile, pack every layer for the kernel that is cheapest
    there. A real board's costs go before an emulated one's; Ctrl-C leaves what was stored before as it is.
    """
    path = find_inventory(inventory)
    entry = entry_of(load_inventory(path), path, device)
    from harness.tune.progress import shown_on
    from harness.tune.report import as_object, as_tables
    from harness.tune.tuning import tune as tune_on

    # Also where SIGINT was ignored at the start, as for a shell's background jobs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with shown_on(_err, device, quiet=as_json) as on_progress:
        tuned = tune_on(device, entry, on_progress)
    if as_json:
        found = {"device": device, "profile": tuned.profile, "file": str(tuned.file)}
        _print_json({**found, **as_object(tuned.costs)})
        return
    _out.print(as_tables(tuned.costs))
    _say(f"stored in {tuned.file}")


@app.command(epilog="Example: harness pack study.yaml --sparsity 0.5 --clusters 16 --bits 4 --out model.dcc")
def pack(
    study: Annotated[Path, typer.Argument(help="The study's YAML file: network and data.")],
    out: Annotated[Path, typer.Option(help="Where to write the artifact.")],
    weights: Annotated[Path | None, typer.Option(help="safetensors file; default: an untrained network.")] = None,
    sparsity: Annotated[float, typer.Option(help="Share of weights that become zero.")] = 0.0,
    clusters: Annotated[
        int | None, typer.Option(help="Distinct values of a layer; default: all that bits allow.")
    ] = None,
    bits: Annotated[int, typer.Option(help="Bits of a weight.")] = 8,
) -> None:
    """Compress a network without training and pack it into an artifact."""
    config = load_study(study)
    from dccdka.recipe import RecipeError
    from harness.deploy import pack_network

    try:
        # Nothing is trained: where pruning begins does not matter.
        untrained = {"temperature": 1.0, "initial_sparsity": 0.0}
        recipe = config.recipe.recipe({**untrained, "final_sparsity": sparsity, "clusters": clusters, "bits": bits})
    except RecipeError as error:
        raise UsageError(str(error)) from None
    artifact = pack_network(config, recipe, weights, _say)
    _write(out, artifact)
    _say(f"{out}: {len(artifact)} bytes")


@app.command(
    epilog="Example: harness export quickstart c007 --out c007/\n\n"
    "Example: harness export quickstart c007 --format onnx --out c007.onnx\n\n"
    "Example: harness export quickstart c007 --format firmware --out c007-firmware/"
)
def export(
    study: Study,
    candidate: Annotated[str, typer.Argument(help="Candidate of the study, e.g. c007.")],
    out: Annotated[Path, typer.Option(help="A new or empty folder; for onnx a new file.")],
    form: Annotated[ExportFormat, typer.Option("--format", help="What to write.")] = ExportFormat.C,
    root: Root = _ROOT,
) -> None:
    """Write a candidate as what others build on, checked on stored images.

    c: a folder of plain C that compiles with one command, with CMake, or as a Zephyr module.
    onnx: a model of integers (QuantizeLinear, DequantizeLinear) for other tools. ONNX Runtime computes it on test
    images; where an operator by itself is more than a step off the device, nothing is written and the exit code is 1.
    firmware: the agent with this one model in flash and nothing that it does not need, run once by the emulated board.
    """
    from dccdka.export.c_library import compile_command
    from harness.deploy import export_candidate, export_onnx
    from harness.results.folder import open_journal

    journal = open_journal(study, root)
    if form is ExportFormat.ONNX:
        _say_agreement(out, export_onnx(journal, candidate, out))
        return
    if form is ExportFormat.FIRMWARE:
        from harness.candidate_firmware import export_firmware

        made = export_firmware(journal, candidate, out)
        _say_run(made.run)
        _say(
            f"{made.image}: for a {made.profile.name}. Flashed, it is measured like the agent, with this artifact only:"
        )
        _say(f"harness measure {out / 'model.dcc'} --device NAME")
        return
    files = export_candidate(journal, candidate, out)
    _say(f"{len(files)} files in {out}. There, this compiles it, and ./self_test checks it on a stored image:")
    _say(compile_command(candidate))


@app.command(epilog="Example: harness metrics quickstart --port 9464")
def metrics(
    study: Study,
    root: Root = _ROOT,
    host: Annotated[str, typer.Option(help="Address to bind to.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 9464,
) -> None:
    """Serve a study's results to Prometheus until Ctrl-C."""
    from harness.config.study import MetricsConfig
    from harness.metrics import MetricsServer, StudyCollector
    from harness.results.folder import journaled_config, journaled_objectives, open_journal

    journal = open_journal(study, root)
    objectives, name = journaled_objectives(journal), journaled_config(journal).name
    collector = StudyCollector(name, objectives, journal.candidates, dict)
    server = MetricsServer(MetricsConfig(host=host, port=port), collector)
    _say(f"serving {server.url}; Ctrl-C ends", _err)
    # A handler of our own ends it also where SIGINT was ignored at the start, as for a shell's background jobs.
    with stopped_by_interrupt(lambda line: None) as stop:
        stop.wait()
    server.close()
    sys.exit(EXIT_INTERRUPTED)


def _say_run(run: DeviceRun) -> None:
    _say(f"{run.device}: {run.verified_inputs} inputs equal the reference, {run.firmware}")
    for m in run.measurements:
        _say(f"  {m.metric:8} {m.value:.6g} {m.unit} {m.kind}: {m.method}")
    for a in run.absent:
        _say(f"  {a.metric:8} absent: {a.reason}")


def _say_agreement(out: Path, found: OnnxAgreement) -> None:
    whole, alone = found.whole.outputs, found.operators
    _say(f"{out}: ONNX Runtime's outputs and the device's differ by at most {whole.steps} of 256 steps")
    _say(f"  {whole.differing} of {whole.values} outputs differ on {found.whole.images} test images")
    _say(f"  {found.whole.predictions:.2%} of the images have the same prediction")
    differing, values = sum(operator.differing for operator in alone), sum(operator.values for operator in alone)
    steps = max(operator.steps for operator in alone)
    _say(f"  {differing} of {values} values differ inside, each operator by itself, by at most {steps}")
    if whole.steps > 1:
        _say("warning: such a difference inside became more than one step at the output", _err, style="bold yellow")


def _check_line(name: str, result: dict[str, Any]) -> str:
    if result["answers"]:
        text = f"{result['agent']} {result['build']}, pool {result['pool_bytes']} B, {result['seconds']:.1f} s"
        return f"ok    {name}: {result['profile']}, {text}"
    # A file that is missing is told without the device that needs it.
    about = f"device {name}: "
    return f"lost  {about}{result['error'].removeprefix(about)}"


def _connection_text(entry: DeviceEntry) -> str:
    values = entry.connection.model_dump(mode="json", exclude={"kind"})
    detail = ":".join(str(values[key]) for key in ("host", "port") if key in values)
    return f"{entry.connection.kind} {detail}".strip()


def _say(text: str, console: Console = _out, style: str = "") -> None:
    """One line as it is: names and texts that come from files and devices are no markup."""
    console.print(_plain(text), style=style, highlight=False, markup=False, soft_wrap=True)


def _plain(text: str) -> str:
    """No device or file can move the cursor: what is not printable is shown as a replacement character."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.splitlines()))


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
