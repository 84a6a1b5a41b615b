"""What a training step costs, in the time of a core: drawing its samples, and all else.

Usage: python tools/step_cost.py BAGS [section.key=value ...]

It takes two demonstrations of each task and the run `smp`. The time of a core is counted, not that of the clock, so
that what else the machine does matters little.
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from smp_bringup.training.job import Training, TrainingJob
from smp_bringup.training.trainer import use_threads

STEPS, FIRST = 12, 2
"""Steps, and how many of them are not counted."""


def main(bags: Path, changes: tuple[str, ...]) -> None:
    """Print medians over the steps."""
    use_threads(1)
    training = Training(TrainingJob(bags, "smp", ("training.workers=0", *changes), limit=2))
    with TemporaryDirectory() as out:
        trainer = training.trainer(Path(out))
        drawing, whole = [], []
        for step in range(STEPS):
            begun = time.process_time()
            trainer._draw(step)
            drawn = time.process_time()
            trainer._one(training.run.training)
            drawing.append(drawn - begun)
            whole.append(time.process_time() - drawn)
        half = []
        for step in range(STEPS):
            begun = time.process_time()
            trainer._train.draw(training.run.training.pairs, np.random.default_rng(step), step % 2, 2)
            half.append(time.process_time() - begun)
    draw, step, part = (1e3 * float(np.median(times[FIRST:])) for times in (drawing, whole, half))
    print(f"a step takes {step:.0f} ms of a core, of which drawing its samples {draw:.0f} ({100 * draw / step:.0f} %)")
    print(f"one of two processes draws for {part:.0f} ms")


if __name__ == "__main__":
    main(Path(sys.argv[1]), tuple(sys.argv[2:]))
