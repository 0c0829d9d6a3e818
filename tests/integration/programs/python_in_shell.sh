# The first Python below a shell is the one that is measured; the second must notice nothing.
printf '%s\n' "shell $1"
"$PYTHON" "$(dirname "$0")/stdin_lines.py" first
"$PYTHON" -c 'import os, sys; print([n for n in os.environ if "MEMPROBE" in n], len(sys.path) > 2)'
exit 6
