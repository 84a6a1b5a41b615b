"""The page and the table of the camera track, from what `smp eval --json` wrote of each policy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from study_tables import Row, behaviour_table, cost_table, millions, success_table, table, task_table


@dataclass(frozen=True)
class Judged:
    """One evaluation: the name of its row, the run in config/policies that trained the policy, and its day."""

    label: str
    run: str
    date: str
    change: str = ""
    """What the run was trained with instead of its own setting."""
    eyes: bool = False
    """Whether it was trained on the eyes of smp_aloha, by absolute errors."""


AGAIN, EYES = "2026-11-29", "2026-12-01"
"""Days of the evaluations that were added later."""
EVALUATIONS = {
    "camera_eyes": Judged("**sparse mixture on kept eyes**, shipped", "sparse_aloha", EYES, eyes=True),
    "camera_eyes_no_experts": Judged("the same without any expert", "sparse_aloha", EYES, eyes=True),
    "camera_eyes_regression": Judged("regression on the same eyes", "eyes_regression", EYES, eyes=True),
    "camera_eyes_diffusion": Judged("diffusion on the same eyes", "eyes_diffusion", EYES, eyes=True),
    "camera_smp": Judged("SMP, shipped", "smp", "2026-11-27"),
    "camera_smp_no_experts": Judged("SMP, shipped, without its experts", "smp", AGAIN),
    "camera_smp_shared": Judged("SMP beside a shared expert", "smp_shared", "2026-11-28"),
    "camera_dibm": Judged("Di-BM (earlier form)", "dibm", "2026-11-28"),
    "camera_sparse": Judged("sparse mixture", "sparse", "2026-11-28"),
    "camera_diffusion": Judged("diffusion, sampled (shipped)", "diffusion", "2026-11-27"),
    "camera_diffusion_zero_noise": Judged("diffusion, shipped, from zero noise", "diffusion", AGAIN),
    "camera_diffusion_total": Judged("diffusion, as large as all of SMP", "diffusion_total", "2026-11-28"),
    "camera_eyes_fresh": Judged("sparse mixture on kept eyes, fresh layouts", "sparse_aloha", EYES, eyes=True),
    "camera_eyes_fresh_smp": Judged("SMP, the same fresh layouts", "smp", EYES),
    "camera_smp_fresh": Judged("SMP, fresh layouts", "smp", AGAIN),
    "camera_smp_fresh_no_experts": Judged("SMP, fresh layouts, without its experts", "smp", AGAIN),
    "camera_smp_offset": Judged("SMP, arms 0.02 rad beside", "smp", "2026-11-27"),
    "camera_smp_held_out": Judged("SMP, held-out layouts", "smp", "2026-11-27"),
    "camera_smp_swapped": Judged("SMP, images swapped", "smp", "2026-11-27"),
    "camera_dibm_beta_0.01": Judged("Di-BM (earlier form), beta 0.01", "dibm", "2026-11-28", "policy.dibm.beta=0.01"),
}
COMPARED = list(EVALUATIONS)[:12]
"""Rows of the summary: the methods, on the same layouts."""

COUNTED = "smp smp_shared sparse diffusion diffusion_total sparse_aloha eyes_regression eyes_diffusion"
COUNTS = f"python tools/count_parameters.py {COUNTED}"
HEAD = f"""# Study `camera`

What do policies solve that see three cameras and the joints, through the deployed sync, policy and command code in
lockstep, with chunks delayed by 60 ms? One training seed each, 16,000 steps: the intervals are those over episodes
alone. [How to read the tables](README.md). Raw: `docs/results/camera_*.json`; the parameters of each run:
```
{COUNTS}  # docs/results/camera_parameters.json
```
Those of Di-BM are of the earlier form, which commit 03f73ff still builds.
Layouts of seed 2 are no test set: [ADR 5](../adr/0005-experts-beside-a-shared-one.md) chose the shipped form by them,
and Di-BM's beta was chosen by them. Those of seeds 11 and 51 were drawn after everything was chosen. The latencies of
SMP beside a shared expert, the sparse mixture and the large diffusion policy were measured while other jobs ran, those
of {AGAIN} while little else did, those of {EYES} beside trainings: compare within a day.

The rows on kept eyes take the cameras' networks of `smp_aloha` as they are and train what is behind them
([eyes that are kept](../training.md#eyes-that-are-kept)), by absolute errors, on the same 1,113 demonstrations: they
can be compared with each other. The rows of 2026-11-27 and 28 were trained whole, by squared errors, on up to 1,544."""


def eval_command(found: dict[str, Any], model: str) -> str:
    """Return the command of an evaluation, from its JSON."""
    episodes = next(iter(found["tasks"].values()))["episodes"]
    parts = [f"smp eval --policy {model} --episodes {episodes} --seed {found['seed']}"]
    parts += [f"--set {change}" for change in found["set"]]
    if found["variation"] != "ordinary":
        parts.append(f"--variation {found['variation']}")
    if found["action_offset"]:
        parts.append(f"--action-offset {found['action_offset']}")
    if knockout := found.get("knockout"):
        parts.append(f"--knockout {knockout}")
    return " ".join(parts + ["--swap-images"] * found["swap_images"])


def commands(found: dict[str, Any], judged: Judged) -> str:
    """Return what trained a policy, where it is not shipped, and what judged it."""
    if "/" not in found["policy"]:
        return f"`{eval_command(found, found['policy'])}`"
    changes = " --eyes smp_aloha" if judged.eyes else " --set policy.distance=squared"
    changes += f" --set {judged.change}" if judged.change else ""
    train = f"smp train --bags data/demos --policy {judged.run}{changes} --out runs/{judged.run}"
    return f"`{train} && {eval_command(found, f'runs/{judged.run}/model')}`"


def camera_rows(load: Callable[[str], Any]) -> dict[str, Row]:
    """Return the evaluations in the shape of a study's rows, by label."""
    counts, rows = load("camera_parameters"), {}
    for name, judged in EVALUATIONS.items():
        found, count = load(name), counts[judged.run]
        inactive = len(found["gate"]["usage"]) - found["active_experts"]["mean"]
        active = count["total"] - count["idle"] - count["per_expert"] * inactive
        size = {"total": count["total"], "active": active}
        rows[judged.label] = {**found, "parameters": size, "training_seeds": {"0": found["all"]["rate"]}}
    return rows


def camera_page(load: Callable[[str], Any]) -> str:
    """Return the page of the camera track."""
    rows = camera_rows(load)
    runs = [[judged.label, judged.date, commands(load(name), judged)] for name, judged in EVALUATIONS.items()]
    parts = [
        HEAD,
        table(["row", "date", "command"], runs),
        f"## Success\n\n{success_table(rows)}",
        f"## By task\n\n{task_table(rows)}",
        f"## Cost\n\n{cost_table(rows)}",
        f"## Behaviour\n\n{behaviour_table(rows)}",
        "What was read from these evaluations: [notebook](../notebook.md#study-camera).",
    ]
    return "\n\n".join(parts) + "\n"


def camera_summary(load: Callable[[str], Any]) -> str:
    """Return the table of the camera track's methods."""
    rows = camera_rows(load)
    lines = []
    for name in COMPARED:
        row = rows[EVALUATIONS[name].label]
        every, (low, high) = row["all"], row["all"]["interval"]
        success = f"{every['successes']}/{every['episodes']} ({low:.2f} - {high:.2f})"
        mark = {AGAIN: " *", EYES: " **"}.get(EVALUATIONS[name].date, "")
        lines.append([EVALUATIONS[name].label, success, millions(row), f"{row['latency_ms']['p50']:.1f}{mark}"])
    header = ["method", "success, 95 % over episodes", "parameters run, of all [M]", "inference [ms]"]
    then = rows[EVALUATIONS["camera_smp_fresh"].label]["latency_ms"]["p50"]
    note = f"\\* Measured on {AGAIN}, when the machine was faster: the shipped SMP took {then:.1f} ms on that day."
    now = rows[EVALUATIONS["camera_eyes_fresh_smp"].label]["latency_ms"]["p50"]
    note += f" \\*\\* Measured on {EYES}, when it took {now:.1f} ms."
    return f"{table(header, lines)}\n\n{note}"
