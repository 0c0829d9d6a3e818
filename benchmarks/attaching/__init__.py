"""Attaching to plain processes, over and over: what ``make soak-attach`` runs."""
