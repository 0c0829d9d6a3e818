"""Other tools on memprobe's scenarios: what each is asked, what it says, what that is worth."""
