"""What a policy is told to do, in words: sentences, other ways to say them, and their embeddings."""
