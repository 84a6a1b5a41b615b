"""A page that shows what augmentation makes of one's own images, before anything is trained."""

import html

import numpy as np

from smp_bringup.page import page, picture, strip, table
from smp_bringup.training.augment import AugmentConfig, augmented
from smp_bringup.training.config import RunConfig
from smp_bringup.training.dataset import Dataset
from smp_bringup.types import ImageArray

_FRAMES, _VARIANTS = 4, 7


def augmentation_page(data: Dataset, run: RunConfig, seed: int) -> str:
    """Return a page with some frames of every camera in colour, each as it is and then as training may see it."""
    config, rng = run.training.augment, np.random.default_rng(seed)
    frames = np.sort(rng.choice(len(data.state), min(_FRAMES, len(data.state)), replace=False))
    parts = [
        "<p>On the left each image as it was recorded, then as training may see it. "
        "What you cannot tell apart here, the policy cannot either.</p>",
        table(("training.augment", "at most"), [(name, value) for name, value in vars(config).items()]),
    ]
    for name in run.policy.cameras:
        parts.append(f"<h3>{html.escape(name)}</h3>")
        for frame in frames:
            shown = _variants(data.images[name][frame], config, rng)
            parts.append(picture(strip(shown, len(shown)), f"{name}, frame {frame}, and {_VARIANTS} changes of it"))
    return page("What augmentation does", parts)


def _variants(image: ImageArray, config: AugmentConfig, rng: np.random.Generator) -> list[ImageArray]:
    """Return the image (h, w, 3), and what it may become."""
    copies = np.repeat(image[None, None], _VARIANTS, axis=0)
    return [image, *augmented(copies, config, rng)[:, 0]]
