#define _GNU_SOURCE
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef __WALL
#define __WALL 0x40000000
#endif
enum { MOST_DESCRIPTORS = 65536, REST_NS = 10000000 };

enum { TICK = 200000 }; /* us */

static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM, SIGTRAP};

static void close_between(unsigned first, unsigned last)
{
    if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
        return;
    for (unsigned at = first; at <= last && at < MOST_DESCRIPTORS; at++)
        close((int)at);
}

static void close_others(unsigned one, unsigned other)
{
    unsigned low = one < other ? one : other, high = one < other ? other : one;
    if (low > 0)
        close_between(0, low - 1);
    close_between(low + 1, high - 1);
    close_between(high + 1, ~0u);
}

/* The first victim where memory runs out, before the program itself. */
static void be_the_victim(void)
{
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file >= 0) {
        ssize_t ignored = write(file, "1000", 4);
        (void)ignored;
        close(file);
    }
}

/* The program's own handlers would report a crash on its error stream. */
static void default_signals(void)
{
    struct sigaction plain;
    sigset_t let_in;
    memset(&plain, 0, sizeof plain);
    plain.sa_handler = SIG_DFL;
    sigemptyset(&let_in);
    for (size_t at = 0; at < sizeof fatal / sizeof *fatal; at++) {
        sigaction(fatal[at], &plain, NULL);
        sigaddset(&let_in, fatal[at]);
    }
    sigprocmask(SIG_UNBLOCK, &let_in, NULL);
}

static pid_t program;
static volatile unsigned ticks_left;

/* Ends the copy with the program, or by SIGALRM when its time is over, whatever it is doing. */
static void on_tick(int number)
{
    if (getppid() != program)
        _exit(STATUS_ALONE);
    if (--ticks_left == 0) {
        signal(number, SIG_DFL);
        kill(getpid(), number);
    }
}

static void watch(unsigned seconds)
{
    struct sigaction ticking;
    struct itimerval interval = {{0, TICK}, {0, TICK}};
    memset(&ticking, 0, sizeof ticking);
    ticking.sa_handler = on_tick;
    ticking.sa_flags = SA_RESTART;
    ticks_left = seconds * (1000000 / TICK) + 1;
    sigaction(SIGALRM, &ticking, NULL);
    setitimer(ITIMER_REAL, &interval, NULL);
}

static void settle_in(int keep, int also, unsigned seconds)
{
    struct rlimit none = {0, 0};
    /* First of all: it must not pass for one of the program's. Not by libc's function: a profiler
       may have put its own there, and would note a thread's new name in the program's log. */
    syscall(SYS_prctl, PR_SET_NAME, CHILD_NAME, 0L, 0L, 0L);
    setrlimit(RLIMIT_CORE, &none);
    default_signals();
    watch(seconds);
    be_the_victim();
    close_others((unsigned)keep, (unsigned)also);
}

pid_t child_start(int keep, int also, unsigned seconds)
{
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before))
        return -EINVAL;
    program = getpid();
    long pid = syscall(SYS_clone, 0L, NULL, NULL, NULL, NULL);
    int why = errno;
    if (pid == 0) {
        settle_in(keep, also, seconds);
        return 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid < 0 ? (pid_t)-why : (pid_t)pid;
}

int child_write(int descriptor, const void *start, size_t bytes)
{
    const char *from = start;
    while (bytes) {
        ssize_t count = write(descriptor, from, bytes);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return -1;
        from += count;
        bytes -= (size_t)count;
    }
    return 0;
}

static long long nanoseconds(struct timeval time)
{
    return time.tv_sec * 1000000000LL + time.tv_usec * 1000LL;
}

int child_wait(pid_t pid, int block, int *status, long long *cpu_ns)
{
    struct rusage used;
    for (;;) {
        pid_t found = wait4(pid, status, __WALL | (block ? 0 : WNOHANG), &used);
        if (found == pid) {
            *cpu_ns = nanoseconds(used.ru_utime) + nanoseconds(used.ru_stime);
            return 1;
        }
        if (found == 0)
            return 0;
        if (errno != EINTR)
            return -errno;
    }
}

void child_rest(pid_t pid, int milliseconds)
{
    struct timespec shortest = {0, REST_NS};
    int file = (int)syscall(SYS_pidfd_open, pid, 0);
    if (file < 0) { /* an older kernel, or a sandbox */
        nanosleep(&shortest, NULL);
        return;
    }
    struct pollfd ended = {file, POLLIN, 0};
    poll(&ended, 1, milliseconds);
    close(file);
}
