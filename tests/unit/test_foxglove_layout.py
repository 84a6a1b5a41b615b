"""The shipped layout: written by its tool, whole, and of nothing that Foxglove does not know."""

import importlib.util
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYOUT = json.loads((ROOT / "config/foxglove/bimanual.json").read_text())


def test_the_shipped_layout_is_the_one_that_the_tool_writes_for_aloha(capsys):
    spec = importlib.util.spec_from_file_location("foxglove_layout", ROOT / "tools/foxglove_layout.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    tool.main([])
    assert json.loads(capsys.readouterr().out) == LAYOUT  # tools/foxglove_layout.py > config/foxglove/bimanual.json


def leaves(tree):
    return [tree] if isinstance(tree, str) else leaves(tree["first"]) + leaves(tree["second"])


def test_every_panel_stands_somewhere_once():
    assert sorted(leaves(LAYOUT["layout"])) == sorted(LAYOUT["configById"])


def test_foxglove_knows_every_setting():
    """By the names of foxglove-sdk, which is made from those of the application."""
    fl = pytest.importorskip("foxglove.layouts")
    kinds = {
        "Image": fl.ImageConfig,
        "3D": fl.ThreeDeeConfig,
        "Plot": fl.PlotConfig,
        "StateTransitions": fl.StateTransitionsConfig,
        "DiagnosticSummary": fl.DiagnosticsSummaryConfig,
    }
    series = {"Plot": fl.PlotSeries, "StateTransitions": fl.StateTransitionsSeries}
    layers = {"foxglove.Urdf": fl.BaseRendererUrdfLayerSettings, "foxglove.Grid": fl.BaseRendererGridLayerSettings}
    for panel, config in LAYOUT["configById"].items():
        kind = panel.split("!")[0]
        assert unknown(config, kinds[kind]) == {"foxglovePanelTitle"}
        assert [unknown(one, series[kind]) for one in config.get("paths", ()) if unknown(one, series[kind])] == []
        for layer in config.get("layers", {}).values():
            assert unknown(layer, layers[layer["layerId"]]) <= {"layerId", "instanceId"}
        assert unknown(config.get("cameraState", {}), fl.ThreeDeeCameraState) == set()


def unknown(config, kind):
    """Return the keys that a class of foxglove-sdk has no field for."""
    known = {re.sub(r"_(\w)", lambda found: found[1].upper(), field.name) for field in fields(kind)}
    return set(config) - known
