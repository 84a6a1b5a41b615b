"""Build a package of ROS interfaces for this Python, without colcon: `build_interfaces.py PACKAGE_FOLDER OUT`.

The wheels of ROS 2 have rosidl's generators, but not the CMake macros that drive them. Here the generators are called
one after another, and a compiler makes one extension module of what they wrote: the C structures, their conversion
from and to Python, and the type support of Fast DDS. OUT then belongs on PYTHONPATH. Ends with 2 where it cannot be
done here, in one line that says why. 11 s on two cores of an x86_64 virtual machine (2026-11-29).
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path

_SHARE, _LIB, _INCLUDE = (Path(sys.prefix, name) for name in ("share", "lib", "include"))
_KINDS = ("rosidl_generator_c", "rosidl_generator_py", "rosidl_typesupport_c", "rosidl_typesupport_fastrtps_c")
_RUNTIME = ("rosidl_runtime_c", "rosidl_typesupport_c", "rosidl_typesupport_fastrtps_c", "rcutils", "fastcdr")


class CannotBuildError(Exception):
    """What is needed to build is missing."""


def build(source: Path, out: Path) -> Path:
    """Build the definitions in source/{msg,srv,action} into out/NAME, unless they are there already; return `out`.

    Raises:
        CannotBuildError: no compiler, no generators, or no headers are installed.
        RuntimeError: the compiler failed.
    """
    source, target = source.resolve(), out.resolve() / source.name
    _require()
    stamp, key = target / "built", _key(source)
    if stamp.is_file() and stamp.read_text() == key:
        return out
    shutil.rmtree(target, ignore_errors=True)
    _generate(source, target)
    _compile(target)
    stamp.write_text(key)
    return out


def _key(source: Path) -> str:
    """Return what a build depends on: definitions, generators, Python."""
    text = [path.read_bytes() for path in (Path(__file__), *_definitions(source))]
    tools = f"{sys.prefix} {sys.version} {version('ros-rosidl-generator-py')}".encode()
    return hashlib.sha256(b"\0".join((*text, tools))).hexdigest()


def _definitions(source: Path) -> list[Path]:
    return sorted(path for path in source.glob("*/*") if path.suffix in (".msg", ".srv", ".action"))


def _require() -> None:
    missing = [name for name in ("gcc", "g++") if shutil.which(name) is None]
    needed = (Path(sysconfig.get_path("include"), "Python.h"), _INCLUDE / "rosidl_runtime_c", _SHARE / _KINDS[0])
    missing += [str(path) for path in needed if not path.exists()]
    if missing:
        raise CannotBuildError(f"interfaces cannot be built here: missing {', '.join(missing)}")


def _generate(source: Path, target: Path) -> None:
    """Write the sources of the package, and its Python modules."""
    import rosidl_generator_c
    import rosidl_generator_py
    import rosidl_typesupport_c
    import rosidl_typesupport_fastrtps_c
    from rosidl_adapter import convert_to_idl
    from rosidl_cli.command.helpers import generate_visibility_control_file
    from rosidl_generator_type_description import generate_type_hash

    definitions = [path.relative_to(source) for path in _definitions(source)]
    for path in definitions:
        convert_to_idl(source, source.name, path, target)
    others = sorted({idl.parents[1] for idl in _SHARE.glob("*/*/*.idl")})
    common = {
        "package_name": source.name,
        "output_dir": str(target),
        "idl_tuples": [f"{target}:{path.with_suffix('.idl')}" for path in definitions],
        "ros_interface_dependencies": [f"{o.name}:{idl}" for o in others for idl in o.glob("*/*.idl")],
        "target_dependencies": [],
    }

    def arguments(generator: str, **more: object) -> str:
        path = target / f"{generator}.json"
        path.write_text(json.dumps({**common, "template_dir": str(_SHARE / generator / "resource"), **more}))
        return str(path)

    generate_type_hash(arguments("rosidl_generator_type_description", include_paths=[f"{o.name}:{o}" for o in others]))
    for generator in ("rosidl_generator_c", "rosidl_typesupport_fastrtps_c"):
        header = f"{generator}__visibility_control.h"
        generate_visibility_control_file(
            package_name=source.name,
            template_path=_SHARE / generator / "resource" / f"{header}.in",
            output_path=target / "msg" / header,
        )
    hashed = [f"{path.with_suffix('.idl')}:{target / path.with_suffix('.json')}" for path in definitions]
    read = [str(source / path) for path in definitions]
    rosidl_generator_c.generate_c(
        arguments("rosidl_generator_c", type_description_tuples=hashed, ros_interface_files=read)
    )
    rosidl_typesupport_fastrtps_c.generate_typesupport_fastrtps_c(arguments("rosidl_typesupport_fastrtps_c"))
    rosidl_typesupport_c.generate_c(arguments("rosidl_typesupport_c"), ["rosidl_typesupport_fastrtps_c"])
    rosidl_generator_py.generate_py(arguments("rosidl_generator_py"), ["rosidl_typesupport_c"])
    (target / "__init__.py").touch()


def _compile(target: Path) -> None:
    """Make one extension module of all sources, which finds the libraries of the wheels where they lie now."""
    import numpy

    include = [f"-I{path}" for path in (target.parent, _INCLUDE, *_INCLUDE.iterdir()) if path.is_dir()]
    include += [f"-I{sysconfig.get_path('include')}", f"-I{numpy.get_include()}"]
    sources = [path for path in target.rglob("*") if path.suffix in (".c", ".cpp")]

    def compiled(path: Path) -> Path:
        compiler = ["g++", "-std=c++17"] if path.suffix == ".cpp" else ["gcc", "-std=gnu11"]
        _run([*compiler, "-O1", "-fPIC", *include, "-c", str(path), "-o", f"{path}.o"])
        return Path(f"{path}.o")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, sources))
    libraries = [f"-l{name}" for name in _RUNTIME]
    libraries += [f"-l:{path.name}" for kind in _KINDS for path in sorted(_LIB.glob(f"lib*_msgs__{kind}.so"))]
    libraries += [f"-l:{path.name}" for kind in _KINDS for path in sorted(_LIB.glob(f"lib*_interfaces__{kind}.so"))]
    module = target / f"{target.name}_s__rosidl_typesupport_c{sysconfig.get_config_var('EXT_SUFFIX')}"
    found = [f"-L{_LIB}", f"-Wl,-rpath,{_LIB}", "-Wl,--as-needed"]
    _run(["g++", "-shared", "-o", str(module), *map(str, objects), *found, *libraries])
    for path in objects:
        path.unlink()


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr[-2000:]}")


if __name__ == "__main__":
    try:
        with redirect_stdout(sys.stderr):  # the generators name every file
            build(Path(sys.argv[1]), Path(sys.argv[2]))
    except CannotBuildError as error:
        sys.exit(print(f"error: {error}", file=sys.stderr) or 2)
