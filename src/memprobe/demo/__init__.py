"""A small real leak in a real kernel: ``orders.ipynb`` and what runs it."""
