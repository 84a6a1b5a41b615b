"""The simulated robot."""

from smp_bringup import kinematics as kinematics  # first: it says in one line when MuJoCo cannot be imported
