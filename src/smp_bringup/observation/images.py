"""Images brought to the size that the policy sees."""

import numpy as np
from PIL import Image

from smp_bringup.types import ImageArray


def resize(image: ImageArray, height: int, width: int) -> ImageArray:
    """Return the image (H, W, 3) resampled by area to (height, width, 3); itself if it has that size."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))
