WHO = "my own contextlib"
