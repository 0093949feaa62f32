"""``deployer export``: a model as a file that other tools read."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from deployer.commands import new_app
from party.process import files

app = new_app()


class Form(StrEnum):
    """What a model can be written as."""

    onnx = "onnx"
    skops = "skops"
    joblib = "joblib"


@app.command()
def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The model.json of a run.")],
    output: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    to: Annotated[
        Form,
        typer.Option(
            help="onnx: for onnxruntime; skops: a scikit-learn pipeline that loads without running "
            "code; joblib: the same as a pickle.",
        ),
    ] = Form.onnx,
) -> None:
    r"""Write a model as ONNX or as a scikit-learn pipeline, which give the same scores.

    Needs the packages of the extra: pip install 'tfe-kit\[export]'.

    Example: deployer export out/alice/model.json model.onnx --to onnx
    """
    from party.scoring.export import FORMS
    from party.scoring.scorer import Scorer

    files.see_to_place(output, "the model", model)
    scorer = Scorer.read(model)
    files.replace(output, FORMS[to](scorer), called="the model")
    print(f"{output}: {scorer.kind} of {len(scorer.features)} features, as {to}")
