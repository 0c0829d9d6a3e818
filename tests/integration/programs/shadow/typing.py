WHO = "my own typing"
