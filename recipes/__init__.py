"""Recipes: each file here trains one model with the whole loop on the page."""
