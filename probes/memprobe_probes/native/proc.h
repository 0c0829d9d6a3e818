/* Paths below /proc, without stdio: it may not be called in a copy of the process. */
#ifndef MEMPROBE_PROC_H
#define MEMPROBE_PROC_H

/* Writes "/proc/PID/name", or "/proc/self/name" for 0; `path` has room for 64 characters. */
void proc_path(char *path, int pid, const char *name);

#endif
