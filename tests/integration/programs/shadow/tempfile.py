WHO = "my own tempfile"
