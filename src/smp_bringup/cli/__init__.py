"""The smp command line, one file per verb."""
