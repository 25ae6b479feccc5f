"""A trained model: its settings, its networks, its card, its files."""
