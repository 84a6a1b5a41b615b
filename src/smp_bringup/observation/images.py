"""Images brought to what the policy sees of them: live, in training and in replay."""

import numpy as np
from PIL import Image

from smp_bringup.camera import Camera
from smp_bringup.types import ImageArray


def resize(image: ImageArray, height: int, width: int) -> ImageArray:
    """Return the image (H, W, 3) resampled by area to (height, width, 3); itself if it has that size."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))


def observed(image: ImageArray, camera: Camera) -> ImageArray:
    """Return what the policy sees of a camera's image (H, W, 3): its crop, resized to (h, w, 3)."""
    if camera.crop is not None:
        x, y = camera.crop.x, camera.crop.y
        image = image[y : y + camera.crop.height, x : x + camera.crop.width]
    return resize(image, camera.observation_height, camera.observation_width)
