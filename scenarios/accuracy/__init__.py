"""Runs the labelled scenarios, judges the reports, executes the fixes, writes the table."""
