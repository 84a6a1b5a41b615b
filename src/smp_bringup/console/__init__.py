"""A page in the browser that shows a running graph and asks what its services can do: `smp console`."""
