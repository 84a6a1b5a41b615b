"""`smp security`: the SROS2 policies of a robot's graph."""

from pathlib import Path
from typing import Annotated

import typer

from smp_bringup.cli.show import NamespaceOption, console


def security(
    out: Annotated[Path, typer.Argument(help="Folder for NODE.policy.xml, one file for each node.")],
    robot: Annotated[str, typer.Option(help="Robot in config/robots, or a path.")] = "aloha",
    namespace: NamespaceOption = "/",
) -> None:
    """Write the SROS2 policy of every node; `ros2 security` makes a keystore from them (docs/security.md)."""
    from smp_bringup.access import accesses, policy_xml
    from smp_bringup.names import full_namespace
    from smp_bringup.output import write_text
    from smp_bringup.robot import load_robot

    namespace = full_namespace(namespace)
    allowed = accesses(load_robot(robot, namespace), namespace)
    policies = {name: policy_xml(name, access, namespace) for name, access in allowed.items()}
    for name, text in policies.items():
        write_text(out / f"{name}.policy.xml", text)
    console.print(f"{len(policies)} policies in {out}")
