"""How far it is from the command line to the networks: what a reader of one prediction has to follow."""

import traceback
from pathlib import Path

import pytest
import torch

import mmccd
from mmccd.cli.app import main
from mmccd.method.unet import UNet

PACKAGE = str(Path(mmccd.__file__).parent)
FORMAT = Path(__file__).parents[1] / "fixtures" / "format_1"


@pytest.mark.parametrize(("model", "calls"), [("veiled-cycle.zip", 9), ("cyclic-unet", 9), ("mmccd.zip", 11)])
def test_a_prediction_reaches_the_network_in_few_calls(model, calls, tmp_path):
    """Two more are the sampler of the paper, from step to step."""
    paths = []

    def note(module, _):
        if isinstance(module, UNet) and not paths:
            paths.append([call for call in traceback.extract_stack() if call.filename.startswith(PACKAGE)])

    hook = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        arguments = ["predict", str(FORMAT / "models" / model), str(FORMAT / "cohort"), "-o", str(tmp_path), "-q"]
        assert main(arguments) == 0
    finally:
        hook.remove()
    (path,) = paths
    command = max(place for place, call in enumerate(path) if call.filename.startswith(f"{PACKAGE}/cli/"))
    functions = [f"{Path(call.filename).stem}.{call.name}" for call in path[command + 1 :] if call.name[0] != "<"]
    assert functions[:2] == ["predict.predict", "case.__call__"]
    assert len(functions) + 1 <= calls, functions  # and the network itself
