WHO = "my own json"
