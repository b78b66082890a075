"""The agent's part in live migration: at the source, at the target, and what goes between them."""
