"""`smp train`: a policy from bags, exported and ready to deploy."""

import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smp_bringup.cli.show import console, progress
from smp_bringup.output import try_folder

if TYPE_CHECKING:
    from smp_bringup.training.config import RunConfig
    from smp_bringup.training.job import Training, TrainingJob
    from smp_bringup.training.journal import About
    from smp_bringup.training.trainer import Trained, Trainer


def train(
    bags: Annotated[Path, typer.Option(help="Folder of demonstrations.")],
    policy: Annotated[
        str | None, typer.Option(help="Run in config/policies, or a path to a YAML file [smp, or the preset's].")
    ] = None,
    preset: Annotated[
        str, typer.Option(help="Settings in config/presets, or a path: few, for 10 to 100 demonstrations of a task.")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="Folder of the run [runs/PRESET or runs/POLICY].")] = None,
    tasks: Annotated[str, typer.Option(help="Comma-separated folders of --bags, v2, or all.")] = "all",
    limit: Annotated[int | None, typer.Option(min=1, help="Demonstrations of each task [all].")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps [as in the run's file].")] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value of the run's file; may be repeated.")
    ] = None,
    corrections: Annotated[
        float, typer.Option(min=1, max=100, help="Weight of what an operator did where a policy had begun.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of weights and batches.")] = 0,
    resume: Annotated[bool, typer.Option(help="Go on from the last saved state.")] = False,
    start: Annotated[
        str | None, typer.Option(help="Shipped model, or a checkpoint folder, to go on from (few-shot transfer).")
    ] = None,
    eyes: Annotated[
        str | None, typer.Option(help="The like, or a file of a network of timm: cameras' networks that are kept.")
    ] = None,
    tune_eyes: Annotated[bool, typer.Option(help="With --eyes: they are trained on instead.")] = False,
    only_router: Annotated[bool, typer.Option(help="With --start: train SMP's router alone (composition).")] = False,
    rejected: Annotated[bool, typer.Option(help="Take bags that the recorder rejected too.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of PyTorch.")] = 1,
    show_augmentation: Annotated[
        bool, typer.Option(help="Train nothing: write OUT/augmentation.html, what training would make of your images.")
    ] = False,
) -> None:
    """Train a policy, save its state on the way, and export OUT/model, checked against PyTorch.

    OUT/best is what came nearest to held-out demonstrations on the way.
    """
    from smp_bringup.page.facts import facts
    from smp_bringup.policy.checkpoint import find_eyes, find_model
    from smp_bringup.training.job import TrainingJob
    from smp_bringup.training.preset import load_preset
    from smp_bringup.training.trainer import use_threads

    chosen = load_preset(preset)
    policy = policy or chosen.policy
    folder = out or Path("runs") / Path(preset or policy).stem
    try_folder(folder)
    use_threads(threads)
    changes = (*chosen.set, *(change or ()), *([f"training.steps={steps}"] if steps else ()))
    wanted = () if tasks == "all" else _tasks(tasks)
    more = find_model(start) if start else None, find_eyes(eyes) if eyes else None, tune_eyes, only_router
    training = _read(TrainingJob(bags, policy, changes, wanted, limit, seed, *more, rejected, corrections))
    of_run = facts(Path(policy).stem, date.today().isoformat(), sys.argv[1:], run=str(folder))
    if show_augmentation:
        return _show_augmentation(training, folder, of_run, seed)
    trainer = _trainer(training, folder, training.about(of_run, folder / "model"), bool(eyes) and not tune_eyes)
    try_folder(folder, trainer.state_bytes)
    trained = _trained(trainer, training.run, folder, trainer.resume() if resume else 0)
    if trainer.first:
        _export(training, trained, trainer.best(), folder)


def _trainer(training: "Training", folder: Path, about: "About", looks: bool) -> "Trainer":
    """Return what trains, once eyes that are kept have looked at every frame."""
    with progress(looks) as bar:
        line = bar.add_task("looking at frames", total=None, note="")
        return training.trainer(folder, about, lambda n, total: bar.update(line, completed=n, total=total))


def _trained(trainer: "Trainer", run: "RunConfig", folder: Path, done: int) -> "Trained":
    """Train from the step `done` to the last, shown as it goes."""
    from smp_bringup.training.journal import PAGE

    if trainer.first:
        console.print(f"page, written as it goes: {folder / PAGE}", soft_wrap=True)
    with progress(trainer.first, long_note=True) as bar:
        line = bar.add_task(run.policy.kind, total=run.training.steps, completed=done, note="")

        def report(step: int, losses: dict[str, float]) -> None:
            off = "" if trainer.held_out_error is None else f" held-out {trainer.held_out_error:.3f} rad"
            bar.update(line, completed=step, note=f"loss {sum(losses.values()):.3f}{off}")

        return trainer.train(report)


def _export(training: "Training", last: "Trained", best: "Trained | None", folder: Path) -> None:
    """Write the checkpoints of a training, and say what comes next."""
    model = folder / "model"
    training.save(last, model)
    if best is not None:
        training.save(best, folder / "best")
        at = f"step {best.metrics['steps']:.0f}, the last is {last.metrics['steps']:.0f}"
        console.print(f"exported {folder / 'best'}: nearest to held-out demonstrations, {at}", soft_wrap=True)
    console.print(f"exported {model}; {training.next_step(model)}", soft_wrap=True)


def _show_augmentation(training: "Training", folder: Path, told: list[tuple[str, str]], seed: int) -> None:
    """Write the page of changed images, or say why there is nothing to show."""
    from smp_bringup.errors import ConfigError
    from smp_bringup.page.parts import write_page
    from smp_bringup.training.augment import AugmentConfig
    from smp_bringup.training.augment_page import augmentation_page

    if not training.run.policy.cameras:
        raise ConfigError("--show-augmentation: this policy sees no camera in colour, nothing of it is augmented")
    if training.run.training.augment == AugmentConfig():
        raise ConfigError("--show-augmentation: training.augment is empty; e.g. --set training.augment.hue=0.4")
    file = folder / "augmentation.html"
    write_page(file, augmentation_page(training.data, training.run, told, seed))
    console.print(f"wrote {file}: what training makes of these images", soft_wrap=True)


def _tasks(wanted: str) -> tuple[str, ...]:
    """Return the folders that a comma-separated list of tasks and groups means."""
    from smp_bringup.tasks import expanded  # brings MuJoCo

    return expanded(name.strip() for name in wanted.split(","))


def _read(job: "TrainingJob") -> "Training":
    """Return the job with its demonstrations read, and say which were left out."""
    from smp_bringup.training.job import Training

    with progress() as bar:
        line = bar.add_task("reading bags", total=None, note="")
        training = Training(job, lambda n, total: bar.update(line, completed=n, total=total))
        data = training.data
        count = len(data.starts) - 1 + len(data.skipped)
        bar.update(line, completed=count, total=count)
    skipped = [*training.left_out, *data.skipped]
    for reason in skipped:
        console.print(f"skipped: {reason}", style="yellow")
    console.print(f"{len(data.starts) - 1} episodes, {len(data.state)} frames; {len(skipped)} bags skipped")
    if data.corrections:
        console.print(f"{data.corrections} frames are an operator's corrections of a policy")
    console.print(f"{training.run.policy.kind} {training.sight}", soft_wrap=True)
    return training
