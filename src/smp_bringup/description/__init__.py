"""What a robot looks like, from its URDF or MJCF: where its links are, and how joints move a hand."""
