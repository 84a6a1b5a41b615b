"""MuJoCo, imported so that what keeps it from working is said in one line."""

import os

from smp_bringup.errors import InstallError

try:
    import mujoco as mujoco
except ModuleNotFoundError as error:
    raise InstallError(f"MuJoCo is not installed ({error}): run make setup") from error
except Exception as error:  # MuJoCo loads its GL library when it is imported; each one fails in its own way
    raise InstallError(
        f"MuJoCo finds no OpenGL (MUJOCO_GL={os.environ.get('MUJOCO_GL')}: {error}); "
        "on Debian or Ubuntu run: apt-get install libegl1 libgl1-mesa-dri (or libosmesa6 and MUJOCO_GL=osmesa)"
    ) from error
