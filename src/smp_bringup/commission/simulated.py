"""What is wrong with the simulation that a robot file names: it loads, its hands grip, reach the table and keep pace.

Nothing but shapes says where a hand grips, so a tool centre point is judged by how its fingers move; a wrong one loads,
runs, and lifts nothing.
"""

import numpy as np

from smp_bringup.commission.finding import Finding, error, warning
from smp_bringup.commission.fingers import INSIDE_M, Fingers, Grip
from smp_bringup.commission.holds import check_holds
from smp_bringup.commission.place_robot import in_table
from smp_bringup.description.pose import Pose
from smp_bringup.errors import SmpError, UnreachableError
from smp_bringup.model_joints import ModelJoints
from smp_bringup.physics import mujoco
from smp_bringup.robot import Robot
from smp_bringup.safety.bounds import bounds, tolerances
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.sim.mjcf import compiled, robot_spec, tcp_site
from smp_bringup.sim.scene import PHYSICS_PERIOD_S
from smp_bringup.sim.world import require_limits
from smp_bringup.simulation import SimHand, Simulation, load_simulation
from smp_bringup.tasks import TASKS
from smp_bringup.tasks.experts import ScriptedOperator
from smp_bringup.tasks.script import OUTWARD
from smp_bringup.types import FloatArray

_TASK = "lift_tray"
"""What every robot that ships can do."""
_AHEAD_M = (0.004, 0.05)
"""So far before a tool centre point the fingertips may end."""
_BESIDE_M = 0.02
"""So far from the middle between the fingers it may be."""
_STRAIGHT = float(np.cos(np.deg2rad(30)))
"""Its axes may differ by so much from the fingers'."""
_OPENINGS_M = (0.01, 0.03, 0.05)
"""What tasks open hands by."""
_OPENING_M = 0.012
"""The fingers may stand so much wider or closer than the simulation says."""
_CROSSED_M = 0.05
"""A hand may stand so far on the other side of the table's middle when it is at home."""
_SQUEEZE_M = 0.018
"""Tasks close hands by so much more than what they hold is thick."""
_STAY_S, _STAYS = 0.5, 0.05
"""Joints that are told to stay at home do for so long, within so much [rad], [m]."""
_PACE = 1.2
"""So many times faster than the limits the scripted operator may lead a joint of an arm for an instant."""


def check_simulation(robot: Robot, settings: SafetyConfig) -> list[Finding]:
    """Return what is wrong with the simulation of a robot; nothing where its file names none."""
    if not robot.simulation:
        return []
    try:
        return check_simulated(robot, load_simulation(robot), settings)
    except SmpError as refusal:
        return [error("simulation", str(refusal), f"correct {robot.simulation} (docs/simulation.md)")]


def check_simulated(robot: Robot, simulation: Simulation, settings: SafetyConfig, whole: bool = True) -> list[Finding]:
    """Return what is odd about a simulation; `whole`: whether its pace, and what hands can hold, count, too.

    Raises:
        ConfigError: it cannot be built.
    """
    table = _Table(robot, simulation)
    found = list[Finding]()
    for side, hand in simulation.hands.items():
        fingers = Fingers(table.model, robot, simulation, side)
        found += _hand(fingers, side, hand) + _squeezes(fingers, side, hand, robot, settings)
        found += check_holds(fingers, side, robot, simulation, table.handle_m(side)) if whole else []
        found += _stands(table.data.site(tcp_site(side)).xpos, side)
    found += table.gives_way()
    try:
        operator = table.operator()
    except UnreachableError as refusal:
        said = f"the scripted operator does not reach what {_TASK} needs: {refusal}"
        todo = (
            "look at tcp, at where the arms stand (at of parts, --at), at homes and limits of the joints, and at keep"
        )
        return [*found, warning("simulation", said, todo)]
    return found + (_pace(operator, robot, simulation, settings) if whole else [])


def usable_pace(robot: Robot, simulation: Simulation, settings: SafetyConfig) -> float:
    """Return the pace at which the scripted operator leads no joint faster than it may go."""
    try:
        ratios = _ratios(_Table(robot, simulation).operator(), robot, simulation, settings)
    except UnreachableError:
        return simulation.pace
    return _slower(simulation.pace, float(ratios.max())) if ratios.max() > _PACE else simulation.pace


class _Table:
    """A robot at home before the task's table."""

    def __init__(self, robot: Robot, simulation: Simulation) -> None:
        self._robot, self._simulation, self._task = robot, simulation, TASKS[_TASK]()
        spec = robot_spec(robot, simulation)
        self._task.add_objects(spec)
        self.model = compiled(spec)
        require_limits(self.model, robot, simulation)
        self.data = mujoco.MjData(self.model)
        ModelJoints(self.model, robot, simulation).put(self.data, robot.joint_array("home"))
        self._task.place(self.model, self.data, np.random.default_rng(0))
        mujoco.mj_forward(self.model, self.data)

    def handle_m(self, side: str) -> float:
        """Return how thick what a hand is to hold is, across its fingers [m]."""
        return 2 * float(self.model.geom(f"handle_{side}").size[1])

    def gives_way(self) -> list[Finding]:
        """Return whether joints leave their homes although they are told to stay."""
        here = Pose(np.zeros(3), np.eye(3))
        if deep := in_table(self.model, self._robot, self._simulation, here):
            link = max(deep, key=lambda name: deep[name])
            more = f", and {len(deep) - 1} more are" if len(deep) > 1 else ""
            said = f"link {link} is {100 * deep[link]:.1f} cm inside the table at home{more}: it throws the arms"
            todo = "let the robot stand higher or farther back (at of parts), or choose other homes; its top is z = 0"
            return [warning("simulation", said, todo)]
        joints, home = ModelJoints(self.model, self._robot, self._simulation), self._robot.joint_array("home")
        servos = [self.model.actuator(name).id for name in self._robot.joint_names]
        data = mujoco.MjData(self.model)
        data.qpos[:] = self.data.qpos
        data.ctrl[servos] = joints.values(home)
        mujoco.mj_step(self.model, data, round(_STAY_S / PHYSICS_PERIOD_S))
        with np.errstate(invalid="ignore"):
            off = np.nan_to_num(np.abs(joints.measured(data)[0] - home), nan=np.inf) / _STAYS
        grips = {hand.gripper for hand in self._simulation.hands.values()}
        off = np.array(
            [0.0 if name in grips else each for name, each in zip(self._robot.joint_names, off, strict=True)]
        )
        if not off.max() > 1:
            return []
        worst = self._robot.joint_names[int(off.argmax())]
        said = (
            f"{worst} leaves its home within {_STAY_S:g} s, although it is told to stay: the models give way or overlap"
        )
        todo = "look at masses and inertias of the model, at joints that nothing drives, and give servos: for it"
        return [warning("simulation", said, todo)]

    def operator(self) -> ScriptedOperator:
        """Return who does the task here; raises UnreachableError where nobody can."""
        return ScriptedOperator(self._task, self.model, self.data, self._robot, 0, self._simulation)


def _hand(fingers: Fingers, side: str, hand: SimHand) -> list[Finding]:
    """Return what is odd about where a hand grips, and what its fingers say instead."""
    about, told = f"simulation, hand {side}", _pose(hand.tcp)
    if hand.gripper and fingers.moved_body:
        said = f"{hand.gripper} moves body '{hand.body}', and the tool centre point with it"
        return [warning(about, said, "name the body that carries the fingers, and tcp in its frame")]
    grip = fingers.grip()
    if grip is None:
        found = _ahead(about, fingers.ahead(told), "look at tcp: 2 cm before the fingertips, x out of the hand")
        if hand.gripper:
            said = f"{hand.gripper} does not move fingers ({', '.join(hand.fingers)}) against each other"
            todo = (
                "name under fingers the bodies of both sides, also that of a jaw that stands still, and look at gripper"
            )
            found.insert(0, warning(about, said, todo))
        return found
    return _tcp(about, told, grip, fingers.ahead(told)) + _openings(about, hand, grip)


def _tcp(about: str, told: Pose, grip: Grip, ahead_m: float) -> list[Finding]:
    """Return the worst of what is odd about a tool centre point."""
    off, turn = told.seen_from(grip.tcp), told.rotation.T @ grip.tcp.rotation
    todo = f"write tcp: {written(grip.tcp)}, which is where its fingers close, and look at it (smp view --live)"
    if turn[0, 0] < _STRAIGHT:
        angle = np.rad2deg(np.arccos(np.clip(turn[0, 0], -1, 1)))
        return [warning(about, f"x of tcp points {angle:.0f} degrees away from where the fingers do", todo)]
    if found := _ahead(about, ahead_m, todo):
        return found
    beside = float(np.hypot(*off.position[1:]))
    if beside > _BESIDE_M:
        return [warning(about, f"tcp lies {100 * beside:.1f} cm beside the middle between its fingertips", todo)]
    if abs(turn[1, 1]) < _STRAIGHT:
        angle = np.rad2deg(np.arccos(np.clip(abs(turn[1, 1]), 0, 1)))
        return [warning(about, f"y of tcp is turned by {angle:.0f} degrees from how its fingers close", todo)]
    return []


def _ahead(about: str, ahead_m: float, todo: str) -> list[Finding]:
    """Return whether a tool centre point is too far behind the fingertips, or beyond them."""
    if ahead_m > _AHEAD_M[1]:
        said = (
            f"tcp lies {100 * ahead_m:.1f} cm behind the fingertips, usual are {100 * INSIDE_M:g}: at its palm or wrist"
        )
        return [warning(about, said, todo)]
    if ahead_m < _AHEAD_M[0]:
        where = f"{-100 * ahead_m:.1f} cm beyond" if ahead_m < 0 else "at the very end of"
        return [warning(about, f"tcp lies {where} its fingertips, usual are {100 * INSIDE_M:g} cm behind them", todo)]
    return []


def _openings(about: str, hand: SimHand, grip: Grip) -> list[Finding]:
    """Return whether the fingers stand otherwise than `closed` and `travel` say."""
    values = np.interp(_OPENINGS_M, grip.gaps, grip.values)
    reached = (np.array(_OPENINGS_M) >= grip.gaps[0]) & (np.array(_OPENINGS_M) <= grip.gaps[-1])
    told = np.array([hand.opening(float(value)) for value in values])
    wrong = np.abs(told - _OPENINGS_M) * reached
    if not wrong.max() > _OPENING_M:
        return []
    worst = int(wrong.argmax())
    closed, travel = written_opening(grip)
    said = (
        f"its fingers are {100 * _OPENINGS_M[worst]:g} cm apart where {hand.gripper} is {values[worst]:.3g}, "
        f"closed and travel say {100 * told[worst]:.1f} cm"
    )
    return [warning(about, said, f"write closed: {closed:g}, travel: {travel:g}")]


def _squeezes(fingers: Fingers, side: str, hand: SimHand, robot: Robot, settings: SafetyConfig) -> list[Finding]:
    """Return whether what a hand holds keeps its joint farther from its setpoint than state_near allows."""
    grip = fingers.grip()
    if not hand.gripper or grip is None or robot.joint(hand.gripper).gripper:
        return []
    bound = float(tolerances(robot, settings, "max_tracking_error")[robot.joint_names.index(hand.gripper)])
    away = abs(written_opening(grip)[1]) * _SQUEEZE_M
    if away <= bound:
        return []
    said = (
        f"{hand.gripper} is told in rad: closed by {100 * _SQUEEZE_M:g} cm beyond what it holds, it is {away:.2f} rad "
        f"from its setpoint, and state_near holds the arms at {bound:.2f}"
    )
    closed, last = float(np.interp(0.0, grip.gaps, grip.values)), float(grip.values[-1])
    todo = (
        f"write of that joint gripper: true, min: 0, max: {grip.gaps[-1]:.3f}, home: 0.05, velocity: 0.1, "
        f"acceleration: 1, jerk: 20, driver: {{min: {closed:.4g}, max: {last:.4g}}}; in the simulation closed: 0, "
        f"travel: 1, joints: {{{hand.gripper}: {{name: {fingers.gripper}, at_min: {closed:.4g}, at_max: {last:.4g}}}}}"
    )
    return [warning(f"simulation, hand {side}", said, todo)]


def _stands(place: FloatArray, side: str) -> list[Finding]:
    """Return whether a hand is at home where its side of the table is not, or under the table."""
    about, x = f"simulation, hand {side}", float(place[0]) * OUTWARD[side]
    if x > _CROSSED_M:
        said = f"it is at x = {place[0]:.2f} m at home, on the other hand's side of the table"
        todo = (
            "the left hand works from x < 0, the right one from x > 0: look at where the arms stand and at their homes"
        )
        return [warning(about, said, todo)]
    if place[2] < 0:
        said = f"it is at z = {place[2]:.2f} m at home, under the table, whose top is z = 0"
        return [warning(about, said, "choose homes of its joints above the table, or let the arm stand higher")]
    return []


def _pace(operator: ScriptedOperator, robot: Robot, simulation: Simulation, settings: SafetyConfig) -> list[Finding]:
    """Return whether the scripted operator goes faster than the joints may."""
    ratios = _ratios(operator, robot, simulation, settings)
    worst = int(ratios.argmax())
    if ratios[worst] <= _PACE:
        return []
    said = f"the scripted operator leads {robot.joint_names[worst]} {ratios[worst]:.1f} times as fast as it may go"
    pace = _slower(simulation.pace, float(ratios[worst]))
    return [warning("simulation", said, f"write pace: {pace:g}, or raise its velocity or velocity_scale")]


def _ratios(operator: ScriptedOperator, robot: Robot, simulation: Simulation, settings: SafetyConfig) -> FloatArray:
    """Return by how many times (J,) the scripted operator goes faster than joints may; fingers may lag."""
    times = np.arange(0.0, operator.duration_s, robot.action_period_s)
    moved = np.abs(np.diff([operator.target(float(time)) for time in times], axis=0)) / robot.action_period_s
    grips = np.array([name in {hand.gripper for hand in simulation.hands.values()} for name in robot.joint_names])
    ratios: FloatArray = moved.max(axis=0) / bounds(robot, settings).velocity * ~grips
    return ratios


def _slower(pace: float, ratio: float) -> float:
    """Return a pace at which what goes `ratio` times too fast does not, in halves."""
    return float(min(10.0, np.ceil(2 * pace * ratio) / 2))


def written(pose: Pose) -> str:
    """Return a pose as a simulation file has it."""
    return f"[{', '.join(f'{value:.6g}' for value in pose.six)}]"


def written_opening(grip: Grip) -> tuple[float, float]:
    """Return `closed` and `travel` of a hand that grips so: a line through its openings, as far as tasks need them."""
    first = max(0.0, float(grip.gaps[0]))
    last = min(max(_OPENINGS_M[-1], first + _OPENINGS_M[1]), float(grip.gaps[-1]))
    here, there = (float(np.interp(gap, grip.gaps, grip.values)) for gap in (first, last))
    travel = (there - here) / max(last - first, 1e-3)
    return float(f"{here - travel * first:.4g}"), float(f"{travel:.4g}")


def _pose(place: tuple[float, ...]) -> Pose:
    """Return the pose of x, y, z [m]; roll, pitch, yaw [rad] about fixed axes."""
    quaternion, rotation = np.zeros(4), np.zeros(9)
    mujoco.mju_euler2Quat(quaternion, np.array(place[3:]), "XYZ")
    mujoco.mju_quat2Mat(rotation, quaternion)
    return Pose(np.array(place[:3]), rotation.reshape(3, 3))
