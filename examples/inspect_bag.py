"""Say what is in a bag and how well it aligns: python examples/inspect_bag.py BAG."""

import sys
from pathlib import Path

import numpy as np

from smp_bringup.bag.aligned import aligned_sets
from smp_bringup.bag.reader import open_bag

if len(sys.argv) != 2:
    sys.exit(__doc__)
bag = open_bag(Path(sys.argv[1]))
robot = bag.robot()
print(f"{bag.path}: robot {robot.name}, task {bag.episode.get('task')}, {bag.outcome}")
for topic, kind in sorted(bag.types.items()):
    print(f"  {topic}  {kind}")
sets = list(aligned_sets(bag, robot))
skew_ms = np.array([[abs(ns) / 1e6 for ns in s.skew_ns.values()] for s in sets])
gaps_ms = np.diff([s.stamp_ns for s in sets]) / 1e6
print(f"{len(sets)} observations, gaps {np.median(gaps_ms):.1f} ms (longest {gaps_ms.max():.1f} ms), "
      f"camera skew at most {skew_ms.max():.2f} ms")  # fmt: skip
