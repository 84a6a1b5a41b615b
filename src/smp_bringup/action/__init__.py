"""Action chunks over time: which setpoint is due now."""
