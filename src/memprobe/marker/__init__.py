"""What stands behind ``@pytest.mark.memprobe``; loaded only where a test has that marker."""
