/* A copy of this process in which the memory stands still, by the bare clone call.

   No handler of fork's is run: those have hung processes that use BLAS or gRPC. The copy has no
   exit signal, so no SIGCHLD reaches the program and its own os.wait() never sees it. */
#ifndef MEMPROBE_CHILD_H
#define MEMPROBE_CHILD_H

#include <stddef.h>
#include <sys/types.h>

/* Returns the pid in the parent, 0 in the child, a negative errno where there is none.
   In the child every descriptor but the two is closed, nothing can interrupt, no core is dumped,
   and it ends after `seconds`, or soon after the program; not with the thread that made it, which
   may be one of the program's many. */
enum { STATUS_ALONE = 75 };
#define CHILD_NAME "memprobe-copy"
pid_t child_start(int keep, int also, unsigned seconds);

/* Writes everything, however often that takes. Returns 0 or -1. */
int child_write(int descriptor, const void *start, size_t bytes);

/* Returns 1, the wait status and the CPU time once the child has ended, 0 while it runs, a negative
   errno. */
int child_wait(pid_t pid, int block, int *status, long long *cpu_ns);

/* Returns as soon as the child has ended, after so long, or for a signal; where the system cannot
   tell, after a short while. */
void child_rest(pid_t pid, int milliseconds);

#endif
