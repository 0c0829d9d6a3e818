# The program that Python starts when a script is to be run in steps: the probe is in this process
# already, and goes on as that script.
__import__("memprobe_probes.script").script.run_in_steps()
