"""Images of the simulated cameras, drawn on a CPU or a GPU through EGL or OSMesa."""

import os
import sys

import mujoco

from smp_bringup import camera as sensors
from smp_bringup.errors import InstallError
from smp_bringup.types import ImageArray


class Camera:
    """All cameras of a robot in one GL context; draws hulls instead of meshes, and no shadows."""

    def __init__(self, model: mujoco.MjModel, cameras: tuple[sensors.Camera, ...]) -> None:
        self._option = mujoco.MjvOption()
        self._option.flags[mujoco.mjtVisFlag.mjVIS_CONVEXHULL] = True
        self._renderers: dict[tuple[int, int], mujoco.Renderer] = {}
        self._sizes = {camera.name: (camera.height, camera.width) for camera in cameras}
        height, width = max(h for h, _ in self._sizes.values()), max(w for _, w in self._sizes.values())
        model.vis.global_.offheight, model.vis.global_.offwidth = height, width
        try:
            _require_display()
            for size in set(self._sizes.values()):
                self._renderers[size] = mujoco.Renderer(model, *size)
        except Exception as error:  # each GL backend raises its own type
            raise InstallError(
                f"no OpenGL for rendering (MUJOCO_GL={os.environ['MUJOCO_GL']}: {error}); "
                "on Debian or Ubuntu run: apt-get install libegl1 libgl1-mesa-dri"
            ) from error

    def render(self, data: mujoco.MjData, camera: str) -> ImageArray:
        """Return the image (H, W, 3) of one camera."""
        renderer = self._renderers[self._sizes[camera]]
        renderer.update_scene(data, camera, self._option)
        renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        image: ImageArray = renderer.render()
        return image

    def close(self) -> None:
        """Free the GL contexts."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers = {}


def _require_display() -> None:
    """Raise OSError where GLFW has no display: MuJoCo's window would end the process without a word."""
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform != "linux"
    if os.environ["MUJOCO_GL"] == "glfw" and not shown:
        raise OSError("glfw needs a display, and neither DISPLAY nor WAYLAND_DISPLAY is set")
