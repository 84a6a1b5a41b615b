"""What stands where in Rerun's window, and the entities that the scene fills."""

import rerun.blueprint as rrb

from smp_bringup.robot import Robot

ARMS = "arms"
"""Entity of the robot's model, the transforms of its links, and the ribbons of chunks."""
GATE = "gate"
EVENTS = "events"
MODE = "mode"


def camera_entity(name: str) -> str:
    """Return where a camera's pictures are logged."""
    return f"cameras/{name}"


def joints_entity(arm: str) -> str:
    """Return under which entity an arm's joints are logged, measured and commanded."""
    return f"joints/{arm}"


def blueprint(robot: Robot, described: bool) -> rrb.Blueprint:
    """Return cameras and, of a robot that is described, arms on the left; joints, gate and events on the right."""
    cameras = [rrb.Spatial2DView(origin=camera_entity(camera.name), name=camera.name) for camera in robot.cameras]
    arms = [rrb.Spatial3DView(origin=ARMS, name="arms, and the chunk as a ribbon")] if described else []
    joints = [
        rrb.TimeSeriesView(
            origin=joints_entity(arm.name),
            name=f"{arm.name}: measured, commanded (thin)",
            plot_legend=rrb.PlotLegend(visible=False),
        )
        for arm in robot.arms
    ]
    gate = rrb.TimeSeriesView(origin=GATE, name="gate: weight of each expert")
    mode = rrb.StateTimelineView(origin=MODE, name="mode")
    events = rrb.TextLogView(origin=EVENTS, name="safety events")
    left = rrb.Vertical(*arms, rrb.Horizontal(*cameras), row_shares=[2, 1] if arms else [1])
    right = rrb.Vertical(*joints, gate, mode, events)
    return rrb.Blueprint(rrb.Horizontal(left, right, column_shares=[3, 2]), collapse_panels=True)
