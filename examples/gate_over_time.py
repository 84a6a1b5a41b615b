"""Plot which experts run along a bag: python examples/gate_over_time.py BAG [MODEL] [PICTURE]."""

import sys
from pathlib import Path

import numpy as np

from smp_bringup.bag.reader import open_bag
from smp_bringup.bench.report import Film, gate_picture
from smp_bringup.pipeline import build_policy
from smp_bringup.policy.checkpoint import DEFAULT_MODEL, find_model
from smp_bringup.replay.run import replay

bag = open_bag(Path(sys.argv[1]))
model = sys.argv[2] if len(sys.argv) > 2 else DEFAULT_MODEL
picture = Path(sys.argv[3] if len(sys.argv) > 3 else "gate.png")

robot = bag.robot()
result = replay(bag, build_policy(find_model(model), robot), robot)
film = Film(bag.episode.get("task", ""), 0, True, 0.0)
for gate in result.gates:
    film.gate_time_s.append((gate.stamp_ns - result.gates[0].stamp_ns) / 1e9)
    film.gate.append(gate.weight.tolist())
    film.active.append(len(gate.active))
picture.write_bytes(gate_picture(film))
print(f"{len(result.gates)} chunks, {np.mean(film.active):.2f} active experts, kept mass "
      f"{np.mean([g.kept_mass for g in result.gates]):.3f}; picture: {picture}")  # fmt: skip
