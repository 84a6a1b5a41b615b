"""Writes docs/studies and the tables of README.md and docs/benchmark.md: python tools/study_pages.py

The question and the command of a study stand in config/studies; every figure comes from the JSON of its command.
"""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from camera_page import camera_page, camera_summary
from study_tables import (
    Row,
    behaviour_table,
    cost_table,
    difference_table,
    half_width,
    millions,
    success_table,
    table,
    task_table,
)

ROOT = Path(__file__).parents[1]
RESULTS, STUDIES = ROOT / "docs/results", ROOT / "docs/studies"
EDIT = "<!-- Written by tools/study_pages.py; do not edit. -->"
METHODS = {
    "smp": "SMP",
    "smp_plain": "SMP, plain form",
    "dibm": "Di-BM (earlier form)",
    "sparse": "sparse mixture",
    "diffusion": "diffusion, as large as what SMP runs",
    "diffusion_total": "diffusion, as large as all of SMP",
}
V2 = {
    "sparse": "**sparse mixture**, two of twelve experts a layer",
    "sparse_no_experts": "the same without any expert",
    "sparse_heaviest_out": "the same without its heaviest expert",
    "sparse_permuted": "the same with every expert in another's place",
    "regression": "regression, as large as what the mixture runs",
    "diffusion": "diffusion, as large as what the mixture runs",
    "diffusion_total": "diffusion, as large as all of the mixture",
    "dibm": "Di-BM, one of twelve experts",
    "smp_shared": "SMP beside a shared expert",
    "smp_shared_no_experts": "the same without its experts",
    "smp_paper": "SMP to the letter",
}
KNOCKOUTS = {"all": "without any expert", "heaviest": "without its heaviest expert", "permuted": "its gate permuted"}
TUNED = ("few_shot", "few_shot_1000", "from_scratch")
COMPARED = {
    "main": [
        ("smp_absolute", "diffusion_absolute"),
        ("smp_absolute", "diffusion_total_absolute"),
        ("diffusion_absolute", "diffusion"),
        ("dibm", "diffusion"),
        ("diffusion_total", "diffusion"),
    ],
    "skills": [("plain_mean_alone", "plain")],
    "transfer": [
        *((f"smp_{how}", f"{other}_{how}") for how in TUNED for other in ("diffusion", "dibm")),
        *((f"dibm_{how}", f"diffusion_{how}") for how in TUNED),
        *((f"{name}_few_shot", f"{name}_from_scratch") for name in ("smp", "dibm", "diffusion")),
    ],
}
"""Rows that are compared beside every row with the first one; where that solves nothing, only these."""

MARKED = re.compile(r"(<!-- table (\w+): written by tools/study_pages.py -->\n).*?(<!-- end of table -->)", re.S)
"""A table on a page that is otherwise written by hand."""


def load(name: str) -> Any:
    """Return a result."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def stored(name: str) -> str:
    """Return the name of a study's result; those of benchmark v1 have its name before theirs."""
    return name if (RESULTS / f"{name}.json").is_file() else f"v1_{name}"


def question(text: str) -> str:
    """Return the comment at the head of a study's YAML."""
    head = re.match(r"(?:#[^\n]*\n)+", text)
    assert head, "a study begins with its question"
    return " ".join(line.removeprefix("#").strip() for line in head[0].splitlines())


def described(row: dict[str, Any]) -> str:
    """Return in words what a row of a study's YAML asks for."""
    what = []
    if "preset" in row:
        what.append(f"[preset {row['preset']}](../../config/presets/{row['preset']}.yaml)")
    if "set" in row:
        what.append("trained with " + ", ".join(f"`{change}`" for change in row["set"]))
    if "start" in row:
        what.append(f"starts from `{row['start']}`")
    if row.get("only_router"):
        what.append("only the router is trained")
    if "eyes" in row:
        what.append(f"keeps the eyes of [{row['eyes']}](../../models/{row['eyes']}/README.md)")
    if "limit" in row:
        what.append(f"the first {row['limit']} demonstrations of each task")
    if "train_tasks" in row:
        what.append("learns " + ", ".join(row["train_tasks"]))
    if "knockout" in row:
        what.append(KNOCKOUTS[row["knockout"]])
    if "deploy" in row:
        what.append("run with " + ", ".join(f"`{change}`" for change in row["deploy"]))
    if "sensor_noise" in row:
        what.append(f"normal noise of {row['sensor_noise']} on joints [rad] and poses [m]")
    if "action_offset" in row:
        what.append(f"arms {row['action_offset']} rad beside every setpoint")
    if "variation" in row:
        what.append(f"layouts `{row['variation']}`")
    return "; ".join(what)


def subject(row: dict[str, Any]) -> str:
    """Return what a row of a study's YAML trains, or takes as it is."""
    if "model" in row:
        return f"[{row['model']}](../../models/{row['model']}/README.md)"
    return f"[{row['policy']}](../../config/policies/{row['policy']}.yaml)"


def command(name: str, study: dict[str, Any], seeds: int) -> str:
    """Return the command of a study that ran with so many training seeds."""
    fewer = f" --seeds {seeds}" if seeds < len(study.get("seeds", (0, 1, 2))) else ""
    bags = " --bags data/demos" * any("policy" in row for row in study["rows"].values())
    return f"smp bench study {name}{fewer}{bags} --json docs/results/{stored(name)}.json"


def study_page(name: str) -> str:
    """Return the page of a study of the state track."""
    text = (ROOT / f"config/studies/{name}.yaml").read_text(encoding="utf-8")
    study, result = yaml.safe_load(text), load(stored(name))
    asked, rows = study["rows"], result["rows"]
    assert list(asked) == list(rows), f"{stored(name)}.json has other rows than config/studies/{name}.yaml"
    first = next(iter(rows.values()))
    seeds, judged = list(first["training_seeds"]), first["evaluation"]
    pairs = [(rows[r]["policy"], v.get("policy", "")) for r, v in asked.items()]
    older = {(old, new) for old, new in pairs if old != new}
    names = [f"The JSON calls `{new}` by its name of that day, `{old}`." for old, new in sorted(older)]
    runs = [[row, subject(v), described(v)] for row, v in asked.items()]
    levels = " and ".join(f"`{level}`" for level in sorted({row["variation"] for row in rows.values()}))
    parts = [
        EDIT,
        f"# Study `{name}`",
        question(text),
        f"```\n{command(name, study, len(seeds))}\n```",
        f"{result['date']}, {result['cores']} cores. Training seeds: {', '.join(seeds)}. Layouts: {judged['episodes']} "
        f"a task, of evaluation seed {judged['seed']}, level {levels}. [How to read the tables](README.md). Raw: "
        f"[JSON](../results/{stored(name)}.json), [configuration](../../config/studies/{name}.yaml).",
        " ".join(names),
        table(["row", "policy", "what is different"], runs),
        f"## Success\n\n{success_table(rows)}",
        differences(name, rows) if len(seeds) > 1 else "",
        f"![Success of each row](../images/{stored(name)}.png)\n\n"
        f"*Whiskers: 95 % over episodes. `python tools/study_pictures.py docs/results/{stored(name)}.json`*",
        f"## By task\n\n{task_table(rows)}",
        f"## Cost\n\n{cost_table(rows)}",
        f"## Behaviour\n\n{behaviour_table(rows)}",
        f"What was read from this study: [notebook](../notebook.md#study-{name}).",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def differences(name: str, rows: dict[str, Row]) -> str:
    """Return the section on differences between rows."""
    first, *others = rows
    pairs = COMPARED.get(name, [])
    if rows[first]["all"]["successes"]:
        pairs = [*((other, first) for other in others), *pairs]
    return f"## Differences\n\n{difference_table(rows, pairs)}"


def phases_page() -> str:
    """Return the page on what the heaviest expert tells of a task's phase."""
    found = {name: load(f"phases_{name}") for name in ("smp", "dibm")}
    commands = [
        f"smp bench phases --policy {v['policy']} --episodes {v['episodes']} --json docs/results/phases_{name}.json"
        for name, v in found.items()
    ]
    tasks = found["smp"]["tasks"]
    told = [
        [task, *(f"{v['tasks'][task][key]:.2f}" for v in found.values() for key in ("told", "chance"))]
        for task in tasks
    ]
    parts = [
        EDIT,
        "# Study `phases`",
        "How much of a task's phase (which movement each hand makes) does the heaviest expert tell? Share of the "
        "phase's entropy, along demonstrations on layouts that were never trained on. By chance: the same experts, "
        "shifted in time at random within each demonstration.",
        "```\n" + "\n".join(commands) + "\n```",
        "Raw: " + ", ".join(f"[{name}](../results/phases_{name}.json)" for name in found) + ".",
        table(["task", "SMP", "by chance", "Di-BM", "by chance"], told),
        "What was read from this study: [notebook](../notebook.md#study-phases).",
    ]
    return "\n\n".join(parts) + "\n"


def state_summary() -> str:
    """Return the table of the state track's methods."""
    rows = load("v1_main")["rows"]
    lines = []
    for name, row in rows.items():
        method, errors = name.removesuffix("_absolute"), "absolute" if name.endswith("_absolute") else "squared"
        success = f"{row['all']['rate']:.3f} ± {half_width(row):.3f}"
        lines.append([METHODS[method], errors, success, millions(row), f"{row['latency_ms']['p50']:.1f}"])
    header = [
        "method",
        "errors",
        "success, 95 % over three training seeds",
        "parameters run, of all [M]",
        "inference [ms]",
    ]
    return table(header, lines)


def v2_summary() -> str:
    """Return the table of benchmark v2."""
    rows = load("v2")["rows"]
    lines = []
    for name, method in V2.items():
        row = rows[name]
        success = f"{row['all']['rate']:.3f} ± {half_width(row):.3f}"
        active = f"{row['active_experts']['mean']:.1f}" if row["gate"]["largest_entropy"] else ""
        lines.append([method, success, millions(row), active, f"{row['latency_ms']['p50']:.1f}"])
    seeds = len(rows["sparse"]["training_seeds"])
    header = ["method", f"success, 95 % over {seeds} training seeds", "parameters run, of all [M]", "experts run"]
    return table([*header, "inference [ms]"], lines)


def index() -> str:
    """Return the list of studies."""
    lines = [
        [f"[{path.stem}]({path.stem}.md)", question(path.read_text(encoding="utf-8"))]
        for path in sorted((ROOT / "config/studies").glob("*.yaml"))
    ]
    lines.append(["[camera](camera.md)", "What do policies solve that see cameras, through the deployed code?"])
    lines.append(["[phases](phases.md)", "How much of a task's phase does the heaviest expert tell?"])
    return table(["study", "question"], lines)


def pages() -> dict[Path, str]:
    """Return every page that this tool writes, or writes tables of, as it is to be."""
    names = sorted(path.stem for path in (ROOT / "config/studies").glob("*.yaml"))
    tables = {"camera": camera_summary(load), "state": state_summary(), "v2": v2_summary(), "studies": index()}
    by_hand = [ROOT / "README.md", ROOT / "docs/benchmark.md", STUDIES / "README.md"]
    return {
        **{STUDIES / f"{name}.md": study_page(name) for name in names},
        STUDIES / "camera.md": f"{EDIT}\n\n{camera_page(load)}",
        STUDIES / "phases.md": phases_page(),
        **{
            path: MARKED.sub(lambda m: f"{m[1]}{tables[m[2]]}\n{m[3]}", path.read_text(encoding="utf-8"))
            for path in by_hand
        },
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
