"""``party``: the command in each party's container, or on its machine where it is done by hand."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from party.agreement.job import Holder, Party, load_job
from party.channel import listen as bind
from party.identity import load_keys
from party.life import Options, address, play
from party.process import children, streams
from party.process.errors import InputError
from party.process.exit import Stop, guarded, stop_on_signals
from party.process.hardening import harden_process
from party.reporting import result
from party.reporting.documents import StatusDocument
from party.reporting.status import Log
from party.runtime import Name

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Be one of the three parties of a job.",
)


JobOption = Annotated[
    Path, typer.Option("--job", help="The job, the same file for all.", show_default=False)
]
JobsOption = Annotated[
    list[Path],
    typer.Option(
        "--job",
        help="The job, the same file for all; several are done one after the other.",
        show_default=False,
    ),
]
ConfigOption = Annotated[
    Path, typer.Option("--config", help="The hosts map, config.json.", show_default=False)
]
KeysOption = Annotated[
    Path,
    typer.Option("--keys", help="Directory: ca.crt, tls.crt and tls.key.", show_default=False),
]
OutputOption = Annotated[
    Path, typer.Option("--output", help="Directory for status and results.", show_default=False)
]
TableOption = Annotated[
    Path | None, typer.Option("--table", help="This party's private table.", show_default=False)
]
ListenOption = Annotated[
    str | None,
    typer.Option("--listen", metavar="HOST:PORT", help="Default: the own entry in --config."),
]
StatusOption = Annotated[
    str | None, typer.Option("--status", metavar="HOST:PORT", help="Serve /healthz and so on.")
]
RuntimeOption = Annotated[Name, typer.Option("--runtime", help="How to train.")]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", help="Where plans are kept. Default: ~/.cache/tfe-kit."),
]
WaitOption = Annotated[
    float, typer.Option("--wait", min=0, metavar="SECONDS", help="For the other parties.")
]
LimitOption = Annotated[
    float | None,
    typer.Option("--time-limit", min=0.001, metavar="SECONDS", help="Of the training."),
]
StayOption = Annotated[
    bool,
    typer.Option("--stay", help="Stay up when done, until SIGTERM; run no job that is done again."),
]
QueueOption = Annotated[
    bool,
    typer.Option(
        "--queue", help="Each job has a directory of its own, if it is the only one, too."
    ),
]
ApprovalsOption = Annotated[
    Path | None,
    typer.Option("--approvals", help="Directory: the three approvals, where the job asks."),
]
LabelKeyOption = Annotated[
    Path | None,
    typer.Option("--label-key", metavar="FILE", help="Its key, where the job has privacy.labels."),
]
StartOption = Annotated[
    Path | None,
    typer.Option("--start", metavar="FILE", help="A former model.json, for training.start."),
]
ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="FILE",
        help="Of a job that scores: model.json at the model's holder, columns.json at the other.",
    ),
]
ImageOption = Annotated[
    str | None,
    typer.Option("--image", metavar="DIGEST", help="Of the image that this is, for approvals."),
]
CheckpointsOption = Annotated[
    Path | None,
    typer.Option("--checkpoints", help="Directory, if keys has a checkpoint.key. In --output."),
]
EveryOption = Annotated[
    float,
    typer.Option("--checkpoint-every", min=0.001, max=3600, metavar="SECONDS", help="About."),
]
RejoinOption = Annotated[
    float,
    typer.Option("--rejoin-limit", min=0, metavar="SECONDS", help="For a lost party; 0: none."),
]
MemoryOption = Annotated[
    int | None,
    typer.Option("--memory-limit", min=1, metavar="MIB", help="Shares beyond it go to a file."),
]
SpillOption = Annotated[
    Path | None,
    typer.Option("--spill", help="Directory of that file, on a disk. Default: --output."),
]


def _holder(party: Party, summary: str) -> None:
    """The command of a party that holds a table."""

    @app.command(party, help=summary)
    def command(
        job: JobsOption,
        config: ConfigOption,
        keys: KeysOption,
        output: OutputOption,
        table: TableOption = None,
        listen: ListenOption = None,
        status: StatusOption = None,
        runtime: RuntimeOption = "sealed",
        cache: CacheOption = None,
        wait: WaitOption = 600.0,
        time_limit: LimitOption = None,
        stay: StayOption = False,
        approvals: ApprovalsOption = None,
        image: ImageOption = None,
        checkpoints: CheckpointsOption = None,
        checkpoint_every: EveryOption = 5.0,
        rejoin_limit: RejoinOption = 900.0,
        memory_limit: MemoryOption = None,
        spill: SpillOption = None,
        label_key: LabelKeyOption = None,
        start: StartOption = None,
        model: ModelOption = None,
        queue: QueueOption = False,
    ) -> None:
        options = Options(
            job,
            config,
            keys,
            output,
            table,
            listen,
            status,
            runtime,
            cache,
            wait,
            time_limit,
            stay,
            approvals,
            image,
            checkpoints,
            checkpoint_every,
            rejoin_limit,
            memory_limit,
            spill,
            label_key,
            start,
            model,
            queue,
        )
        play(party, options)


_holder("alice", "Hold columns, as alice in the job.")
_holder("bob", "Hold columns, as bob in the job.")


@app.command()
def server(
    job: JobsOption,
    config: ConfigOption,
    keys: KeysOption,
    output: OutputOption,
    listen: ListenOption = None,
    status: StatusOption = None,
    runtime: RuntimeOption = "sealed",
    cache: CacheOption = None,
    wait: WaitOption = 600.0,
    time_limit: LimitOption = None,
    stay: StayOption = False,
    approvals: ApprovalsOption = None,
    image: ImageOption = None,
    checkpoints: CheckpointsOption = None,
    checkpoint_every: EveryOption = 5.0,
    rejoin_limit: RejoinOption = 900.0,
    memory_limit: MemoryOption = None,
    spill: SpillOption = None,
    queue: QueueOption = False,
) -> None:
    """Help to compute, and hold nothing."""
    options = Options(
        job,
        config,
        keys,
        output,
        None,
        listen,
        status,
        runtime,
        cache,
        wait,
        time_limit,
        stay,
        approvals,
        image,
        checkpoints,
        checkpoint_every,
        rejoin_limit,
        memory_limit,
        spill,
        queue=queue,
    )
    play("server", options)


@app.command("status")
def show_status(output: OutputOption) -> None:
    """Print a party's status.json."""
    status = StatusDocument.read(output)
    if status is None:
        raise InputError("no party has started here", str(output), "look into its --output")
    _print_json(status.as_json())


@app.command("result")
def show_result(output: OutputOption) -> None:
    """Print the model of a job that is done, as JSON."""
    _print_json(result.read_model(output).as_json())


@app.command("score")
def serve_scores(
    party: Annotated[Holder, typer.Argument(help="Whose model and service it is.")],
    model: Annotated[Path, typer.Option("--model", help="Its model.json.", show_default=False)],
    job: JobOption,
    keys: KeysOption,
    serve: Annotated[
        str,
        typer.Option("--serve", metavar="HOST:PORT", help="Where to listen.", show_default=False),
    ],
) -> None:
    """Score single rows over HTTPS, until SIGTERM, for who has this party's identity.

    See docs/scoring.md for what to send.
    """
    from party.scoring.scorer import Scorer
    from party.scoring.service import Service

    stop_on_signals()
    where = address(serve, "--serve")
    assert where is not None
    scorer, agreed = Scorer.read(model), load_job(job)
    if scorer.job != agreed.digest:
        hint = "give the job that the model was trained by"
        raise InputError("the model is not of this job", str(model), hint)
    own = load_keys(keys, agreed.domain, party)
    service = Service(bind(where, or_everywhere=False), scorer, own)
    harden_process()  # the keys are in place
    Log(party).say(f"serving scores at {where.host}:{service.port}")
    try:
        service.serve_forever()
    except Stop:
        service.server_close()


def _print_json(value: Any) -> None:
    escaped = not streams.takes_unicode(sys.stdout)
    print(json.dumps(value, indent=2, ensure_ascii=escaped))


def main() -> None:
    """The ``party`` entry point."""
    streams.settle()
    sys.exit(guarded(_main))


def _main() -> None:
    children.end_with_parent(signal.SIGTERM)
    typer.main.get_command(app)(prog_name="party")
