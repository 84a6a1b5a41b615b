"""`smp up`: the same graph as bimanual.launch.py, where launch_ros is not installed."""

import signal
import time
from typing import Annotated

import typer

from smp_bringup.cli.show import console


def up(
    sim: Annotated[bool, typer.Option(help="Simulate the robot.")] = False,
    robot: Annotated[str, typer.Option(help="Robot in config/robots, or a path.")] = "aloha",
    model: Annotated[str, typer.Option(help="Shipped model, or a path to a checkpoint folder.")] = "smp_aloha",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    safety: Annotated[str, typer.Option(help="Settings in config/safety, or a path.")] = "default",
    task: Annotated[str, typer.Option(help="First task of the simulator.")] = "transfer_cube",
    seed: Annotated[int, typer.Option(min=0, help="First seed of the simulator.")] = 0,
    teleop: Annotated[bool, typer.Option(help="Read the leader arms too.")] = False,
) -> None:
    """Start all nodes and stop them together; ends with an error when one of them dies."""
    from smp_bringup.graph import build_graph
    from smp_bringup.launcher import Graph
    from smp_bringup.pipeline import build_policy
    from smp_bringup.policy.checkpoint import find_model
    from smp_bringup.robot import load_robot

    build_policy(find_model(model), load_robot(robot), device)  # a wrong model is named before anything starts
    graph = build_graph(
        robot=robot, model=model, device=device, safety=safety, sim=sim, task=task, seed=seed, teleop=teleop
    )
    stop = False

    def asked(*_: object) -> None:
        nonlocal stop
        stop = True

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, asked)
    with Graph(graph) as running:
        console.print(f"running {', '.join(running.processes)}; arm with: /command/arm; stop with Ctrl-C")
        while not stop:
            running.check()
            time.sleep(0.1)
