"""Images brought to what the policy sees of them: live, in training and in replay."""

import numpy as np
from PIL import Image

from smp_bringup.camera import Camera, Depth
from smp_bringup.types import MM_PER_M, ImageArray


def resize(image: ImageArray, height: int, width: int) -> ImageArray:
    """Return the image (H, W, 3) resampled by area to (height, width, 3); itself if it has that size."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))


def nearest(image: ImageArray, height: int, width: int) -> ImageArray:
    """Return the image (H, W, C) with the pixel nearest to the middle of each new one, (height, width, C).

    Between a near thing and what is behind it there is nothing: depth is never averaged.
    """
    rows, columns = (
        (2 * np.arange(n) + 1) * old // (2 * n) for n, old in zip((height, width), image.shape, strict=False)
    )
    out: ImageArray = image[rows[:, None], columns]
    return out


def believed(image: ImageArray, depth: Depth) -> ImageArray:
    """Return the depth (h, w, 1) [mm] with 0, nothing measured, where it lies outside the stated range."""
    low, high = round(depth.min * MM_PER_M), round(depth.max * MM_PER_M)
    return np.where((image >= low) & (image <= high), image, 0).astype(np.uint16)


def observed(image: ImageArray, camera: Camera) -> ImageArray:
    """Return what the policy sees of a camera's image (H, W, C): its crop, resized to (h, w, C).

    Of a depth camera the nearest pixels are taken, and only what lies in its range.
    """
    if camera.crop is not None:
        x, y = camera.crop.x, camera.crop.y
        image = image[y : y + camera.crop.height, x : x + camera.crop.width]
    if camera.depth is not None:
        return believed(nearest(image, camera.observation_height, camera.observation_width), camera.depth)
    return resize(image, camera.observation_height, camera.observation_width)
