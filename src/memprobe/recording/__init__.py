"""The recording: its records, its reader, its writer."""
