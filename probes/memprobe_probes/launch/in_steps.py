"""What Python starts when a script is to be run in steps: the probe, which is in this process
already, goes on as that script."""

__import__("memprobe_probes.script").script.run_in_steps()
