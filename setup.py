"""Package of smp_bringup for colcon (ament_python), pip install and pip install -e."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "smp_bringup"
HERE = Path(__file__).resolve().parent  # colcon build --symlink-install runs a link to this file
NODES = ("sync", "policy", "command", "teleop", "recorder", "sim", "replay", "description", "blackbox")
SHARED = ("launch", "config", "models")


def shared_files():
    """Return (target folder, files) for every folder of shared files, one entry a folder."""
    entries = [
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"lib/{PACKAGE}", [f"resource/bin/{name}_node" for name in NODES]),
    ]
    for root in SHARED:
        for folder in sorted({path.parent for path in Path(root).rglob("*") if path.is_file()}):
            if folder.name == "__pycache__":
                continue
            files = sorted(path.as_posix() for path in folder.iterdir() if path.is_file())
            entries.append((f"share/{PACKAGE}/{folder.as_posix()}", files))
    return entries


def ranges(file):
    """Return the requirements of one file of requirements/."""
    lines = (HERE / f"requirements/{file}.in").read_text(encoding="utf-8").splitlines()
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


setup(
    name=PACKAGE,
    version="0.1.0",
    description="Real-time ROS 2 control of two arms with mixtures of diffusion experts",
    license="Apache-2.0",
    author="smp_bringup maintainers",
    maintainer="smp_bringup maintainers",
    maintainer_email="maintainers@example.com",
    python_requires=">=3.11",
    package_dir={"": "src"},
    packages=find_packages("src"),
    package_data={
        PACKAGE: ["py.typed", "page/palette.css", "page/report.*"],
        f"{PACKAGE}.console": ["page/*"],
        f"{PACKAGE}.record": ["page/*"],
    },
    data_files=shared_files(),
    install_requires=ranges("runtime"),
    extras_require={
        **{extra: ranges(extra) for extra in ("teleop", "bridge", "console", "view", "words", "backbones")},
        "test": ["pytest", "hypothesis"],
    },
    zip_safe=False,
    entry_points={
        "console_scripts": [
            f"smp = {PACKAGE}.cli.main:main",
            *(f"{name}_node = {PACKAGE}.nodes.{name}_node:main" for name in NODES),
        ]
    },
)
