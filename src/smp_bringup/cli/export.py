"""`smp export`: the ONNX models of a checkpoint made anew from its weights."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smp_bringup.cli.show import console, progress
from smp_bringup.errors import ConfigError, UnknownNameError
from smp_bringup.output import try_folder

if TYPE_CHECKING:
    from smp_bringup.robot import Robot

_EPISODES, _SEED = 25, 5
"""Of the layouts that judge rounded weights, where nothing else is said."""


def export(
    policy: Annotated[str, typer.Argument(help="Shipped model, or a path to a checkpoint folder.")],
    out: Annotated[Path, typer.Option(help="Folder of the new checkpoint; it replaces another one.")],
    robot: Annotated[str, typer.Option(help="Robot in config/robots, or a path.")] = "aloha",
    precision: Annotated[str, typer.Option(help="fp32, or int8: experts' weights rounded, then judged.")] = "fp32",
    episodes: Annotated[
        int | None, typer.Option(min=1, help="int8: layouts of each task that both solve [25].")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="int8: of the layouts [5].")] = None,
    bags: Annotated[Path | None, typer.Option(help="int8: recorded episodes judge, instead of the simulator.")] = None,
) -> None:
    """Export a trained policy again: what a newer version computes quicker, older checkpoints then do, too."""
    from smp_bringup.policy.checkpoint import find_model
    from smp_bringup.policy.engines import PRECISIONS
    from smp_bringup.robot import load_robot
    from smp_bringup.training.save import export_again

    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, PRECISIONS)
    layouts = episodes is not None or seed is not None
    if layouts and bags is not None:
        raise ConfigError(
            "--episodes and --seed are of layouts in the simulator, --bags judges instead: one of the two"
        )
    if precision != "int8" and (layouts or bags is not None):
        raise ConfigError("--episodes, --seed and --bags judge what --precision int8 rounds: nothing else is judged")
    folder, body = find_model(policy), load_robot(robot)
    try_folder(out)
    if precision == "int8":
        said = _int8(folder, body, out, episodes or _EPISODES, _SEED if seed is None else seed, bags)
    else:
        apart = export_again(folder, body, out)
        said = f"its chunks differ from those of '{policy}' by at most {apart:.1e}"
    console.print(f"exported {out}; {said}", soft_wrap=True)


def _int8(folder: Path, robot: "Robot", out: Path, episodes: int, seed: int, bags: Path | None) -> str:
    """Round a policy's experts, and write it if it still does what it did; return what was found."""
    import tempfile

    from smp_bringup.bag.tree import bag_folders
    from smp_bringup.bench.rounding import followed, solved
    from smp_bringup.manifest import read_checked, write_checked
    from smp_bringup.policy.checkpoint import CARD, called, trained_tasks
    from smp_bringup.tasks import TASKS
    from smp_bringup.training.save import export_int8

    tasks, recorded = trained_tasks(folder), bag_folders(bags) if bags else []
    if not recorded and not (robot.simulation and tasks and all(task in TASKS for task in tasks)):
        raise ConfigError(
            f"int8: no simulated task judges '{folder}' on robot '{robot.name}': name recorded episodes with --bags"
        )
    with tempfile.TemporaryDirectory() as place, progress() as bar:
        trial = Path(place) / "int8"
        apart = export_int8(folder, robot, trial)
        total = 2 * (len(recorded) or episodes * len(tasks))
        line = bar.add_task("judging int8", total=total, note="")

        def done() -> None:
            bar.update(line, advance=1)

        if recorded:
            before, after = followed(folder, trial, robot, recorded, done)
            found = f"joints {after:.4f} rad from the operator's, {before:.4f} before, over {len(recorded)} episodes"
        else:
            found = str(solved(folder, trial, robot, tasks, episodes, seed, done))
        said = f"int8: {found}; its chunks differ by at most {apart:.3f}"
        files = read_checked(trial)
        card = f"\n## Rounded\n`smp export {called(folder)} --precision int8`: {said}.\n"
        write_checked(out, {**files, CARD: files.get(CARD, b"") + card.encode()})
    return said
