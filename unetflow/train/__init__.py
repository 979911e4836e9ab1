"""Training: recipes, patches, losses and the loop. It imports nothing here."""
