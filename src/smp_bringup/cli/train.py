"""`smp train`: a policy from bags, exported and ready to deploy."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smp_bringup.cli.show import console, progress

if TYPE_CHECKING:
    from smp_bringup.policy.config import PolicyConfig
    from smp_bringup.robot import Robot
    from smp_bringup.training.dataset import Dataset


def train(
    bags: Annotated[Path, typer.Option(help="Folder of demonstrations.")],
    policy: Annotated[str, typer.Option(help="Run in config/policies, or a path to a YAML file.")] = "smp",
    out: Annotated[Path | None, typer.Option(help="Folder of the run [runs/POLICY].")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Demonstrations of each task [all].")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps [as in the run's file].")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights and batches.")] = 0,
    resume: Annotated[bool, typer.Option(help="Go on from the last saved state.")] = False,
    start: Annotated[Path | None, typer.Option(help="Checkpoint to go on from (few-shot transfer).")] = None,
    only_router: Annotated[bool, typer.Option(help="With --start: train SMP's router alone (composition).")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of PyTorch.")] = 1,
) -> None:
    """Train a policy, save its state on the way, and export OUT/model, checked against PyTorch."""
    from smp_bringup.errors import ConfigError
    from smp_bringup.replay.aligned import bag_folders
    from smp_bringup.replay.reader import open_bag
    from smp_bringup.training.config import load_run, with_steps
    from smp_bringup.training.dataset import first_of_each
    from smp_bringup.training.save import model_card, save_checkpoint
    from smp_bringup.training.trainer import Trainer, use_threads
    from smp_bringup.training.transfer import start_from

    if only_router and start is None:
        raise ConfigError("--only-router trains the router of a trained policy: name its checkpoint with --start")
    use_threads(threads)
    run = with_steps(load_run(policy), steps)
    folder = out or Path("runs") / Path(policy).stem
    found = first_of_each(bag_folders(bags), limit)
    robot = open_bag(found[0]).robot()
    begin = None
    if start is not None:
        run, begin = start_from(start, run, robot, only_router)
    data = _read(found, robot, run.policy, bags.parent / "cache")
    trainer = Trainer(run, data, robot, seed, folder, begin)
    done = trainer.resume() if resume else 0
    with progress(trainer.first) as bar:
        line = bar.add_task(f"training {run.policy.kind}", total=run.training.steps, completed=done, note="")
        trained = trainer.train(
            lambda step, losses: bar.update(
                line, completed=step, note=" ".join(f"{k} {v:.4f}" for k, v in losses.items())
            )
        )
    if not trainer.first:
        return
    card = model_card(run, data, trained, str(bags), policy, seed)
    save_checkpoint(trained, robot, folder / "model", card)
    console.print(f"exported {folder / 'model'}; try it: smp eval --policy {folder / 'model'}")


def _read(found: "list[Path]", robot: "Robot", policy: "PolicyConfig", cache: Path) -> "Dataset":
    """Return the demonstrations in bags, and say which were left out."""
    from smp_bringup.training.dataset import load_dataset

    with progress() as bar:
        line = bar.add_task("reading bags", total=len(found), note="")
        data = load_dataset(found, robot, policy, cache, lambda n, total: bar.update(line, completed=n))
        bar.update(line, completed=len(found))
    for reason in data.skipped:
        console.print(f"skipped: {reason}", style="yellow")
    console.print(f"{len(data.starts) - 1} episodes, {len(data.state)} frames; {len(data.skipped)} bags skipped")
    return data
