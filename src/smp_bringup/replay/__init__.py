"""Reading bags, and running the deployed pipeline over them."""
