"""Plot which experts run along a bag: python examples/gate_over_time.py BAG [MODEL] [PICTURE]."""

import sys
from pathlib import Path

import numpy as np

from smp_bringup.bag.reader import open_bag
from smp_bringup.page.pictures import gate_axis, subplots
from smp_bringup.paths import FLAGSHIP
from smp_bringup.pipeline import build_policy
from smp_bringup.policy.checkpoint import find_model
from smp_bringup.replay.run import replay

bag = open_bag(Path(sys.argv[1]))
model = sys.argv[2] if len(sys.argv) > 2 else FLAGSHIP
picture = Path(sys.argv[3] if len(sys.argv) > 3 else "gate.png")

robot = bag.robot()
result = replay(bag, build_policy(find_model(model), robot), robot)
time_s = [(gate.stamp_ns - result.gates[0].stamp_ns) / 1e9 for gate in result.gates]
active = [len(gate.active) for gate in result.gates]
figure, axis = subplots()
gate_axis(axis, time_s, np.array([gate.weight for gate in result.gates]), active)
figure.savefig(picture, facecolor="white", dpi=200)
print(f"{len(active)} chunks, {np.mean(active):.2f} active experts, kept mass "
      f"{np.mean([g.kept_mass for g in result.gates]):.3f}; picture: {picture}")  # fmt: skip
