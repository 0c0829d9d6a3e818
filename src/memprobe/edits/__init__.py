"""The smallest edits to a notebook's cells that let go of what findings name: text in and out."""
