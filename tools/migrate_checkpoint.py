"""Brings checkpoints of format 1 (settings of every kind in one list) to format 2.

python tools/migrate_checkpoint.py FOLDER ...
"""

import json
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import load, save

from smp_bringup.config import parse_yaml
from smp_bringup.manifest import FORMAT, MANIFEST, write_checked
from smp_bringup.policy import policy_config
from smp_bringup.policy.checkpoint import CONFIG, WEIGHTS, config_yaml

SHARED = (
    "kind",
    "cameras",
    "track",
    "observation_steps",
    "horizon",
    "replan_s",
    "prefix_steps",
    "diffusion_steps",
    "denoise_steps",
    "sampler",
    "prediction",
    "noise",
    "denoiser",
    "encoder",
    "foresight_s",
)
LOSSES = ("coefficient", "reconstruction", "gate", "align", "mean")


def settings(old: dict[str, Any]) -> dict[str, Any]:
    """Return settings of format 1 as those of format 2."""
    new = {name: old[name] for name in SHARED if name in old}
    loss, gate = dict(old["loss"]), dict(old["gate"])
    new |= {"distance": loss.pop("distance", "squared"), "foresight_weight": loss["foresight"]}
    if old["kind"] == "dibm":
        new["dibm"] = {"experts": old["experts"], "beta": gate["beta"], "energy": loss["energy"], "draw": loss["draw"]}
    if old["kind"] == "sparse":
        new["sparse"] = {"experts": old["experts"], "active": gate["top_k"] or 2}
    if old["kind"] == "smp":
        new["smp"] = smp(old, gate, loss)
    return new


def smp(old: dict[str, Any], gate: dict[str, Any], loss: dict[str, Any]) -> dict[str, Any]:
    """Return the section of SMP."""
    forms = {"shared": "shared", "motion": "motion", "none": "paper"}
    reference = old.get("reference", "motion")
    if reference not in forms:
        raise SystemExit(f"reference: {reference} is no form of SMP any more: train the policy anew")
    form, del_gate = forms[reference], {"beta"}
    if form == "paper":
        del_gate |= {"train_by", "dense"}
    own: dict[str, Any] = {
        "form": form,
        **{name: old[name] for name in ("experts", "basis", "basis_width", "basis_depth")},
        "gate": {name: value for name, value in gate.items() if name not in del_gate},
        "loss": {name: loss[name] for name in LOSSES},
    }
    if form == "shared":
        own["shared"] = {"denoiser": old["mean"], "experts": old.get("mean_experts", 1)}
    if form == "motion":
        own["mean"] = old["mean"]
    return own


def migrate(folder: Path) -> None:
    """Rewrite one checkpoint in place; nothing that it computes changes."""
    if json.loads((folder / MANIFEST).read_text()).get("format", 1) == FORMAT:
        print(f"{folder}: is of format {FORMAT} already")
        return
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != MANIFEST}
    new = policy_config(settings(parse_yaml(files[CONFIG].decode(), CONFIG)), CONFIG)
    files[CONFIG] = config_yaml(new).encode()
    if WEIGHTS in files and getattr(new, "smp", None) and new.smp.form != "paper":
        tensors = load(files[WEIGHTS])
        if "scale" in tensors:  # of coefficients: one, but in the paper's form
            assert bool((tensors.pop("scale") == 1).all())
            files[WEIGHTS] = save(tensors)
    write_checked(folder, files)
    print(f"{folder}: format {FORMAT}")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        migrate(Path(name))
