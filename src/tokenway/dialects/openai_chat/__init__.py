"""The OpenAI chat dialect: chat completions, legacy completions, embeddings."""
