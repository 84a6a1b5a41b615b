"""From a robot's description and its running graph to its files, and what is wrong with them."""
