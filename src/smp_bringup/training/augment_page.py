"""A page that shows what augmentation makes of one's own images, before anything is trained."""

from collections.abc import Sequence

import numpy as np

from smp_bringup.page.parts import Figure, Page, Section, Table
from smp_bringup.page.pictures import subplots, svg
from smp_bringup.training.augment import AugmentConfig, augmented
from smp_bringup.training.config import RunConfig
from smp_bringup.training.dataset import Dataset
from smp_bringup.types import ImageArray

_FRAMES, _VARIANTS = 4, 6
_GAP_PX = 4


def augmentation_page(data: Dataset, run: RunConfig, told: Sequence[tuple[str, str]], seed: int) -> Page:
    """Return a page with some frames of every camera in colour, each as it is and then as training may see it."""
    config, rng = run.training.augment, np.random.default_rng(seed)
    frames = np.sort(rng.choice(len(data.state), min(_FRAMES, len(data.state)), replace=False))
    sections = [
        Section(name, [_figure(name, [_row(data.images[name][i], config, rng) for i in frames])])
        for name in run.policy.cameras
    ]
    table = Table(("training.augment", "at most"), [(name, value) for name, value in vars(config).items()])
    lead = (
        "On the left each image as it was recorded, then as training may see it. What you cannot tell apart here, "
        "the policy cannot either."
    )
    return Page("What augmentation does", lead, told, [*sections, Section("How far", [table])])


def _row(image: ImageArray, config: AugmentConfig, rng: np.random.Generator) -> ImageArray:
    """Return the image (h, w, 3) and what it may become, side by side."""
    copies = np.repeat(image[None, None], _VARIANTS, axis=0)
    shown = np.stack([image, *augmented(copies, config, rng)[:, 0]])
    return np.concatenate(np.pad(shown, ((0, 0), (0, _GAP_PX), (0, _GAP_PX), (0, 0)), constant_values=255), axis=1)


def _figure(camera: str, rows: Sequence[ImageArray]) -> Figure:
    figure, axis = subplots(height_in=3.2)
    axis.imshow(np.concatenate(rows), interpolation="nearest")
    axis.axis("off")
    text = f"Camera {camera}: {len(rows)} frames, one a row, and {_VARIANTS} changes of each."
    return Figure(svg(figure, text), text)
