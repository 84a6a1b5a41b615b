"""`smp bench`: the figures that documentation quotes, each by one command."""

import typer

from smp_bringup.cli import (
    bench_graph,
    bench_phases,
    bench_policy,
    bench_recording,
    bench_seams,
    bench_study,
    bench_sync,
)

app = typer.Typer(
    no_args_is_help=True,
    help="Measure: aligners, the running graph, seams between chunks, policies against each other, what a chunk costs.",
)
app.command("recording")(bench_recording.recording)
app.command("graph")(bench_graph.graph)
app.command("sync")(bench_sync.sync)
app.command("seams")(bench_seams.seams)
app.command("study")(bench_study.study)
app.command("phases")(bench_phases.phases)
app.command("policy")(bench_policy.policy)
