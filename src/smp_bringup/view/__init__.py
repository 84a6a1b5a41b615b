"""`smp view`: bags and a running graph in Rerun; the only room that imports rerun."""
