"""The simulated robot."""

from smp_bringup import physics as physics  # first: it says in one line when MuJoCo cannot be imported
