#define _GNU_SOURCE
#include "account_python.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "proc.h"
#include "pymalloc.h"

enum { LATEST = 8 }; /* seconds after which a copy has no time left for an account */

static sigjmp_buf way_out;

static int parse_words(PyObject *known, Accounting *accounting)
{
    char *start;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(known, &start, &length))
        return -1;
    if (length < 8 || (length / 8 - 1) % 3) {
        PyErr_SetString(PyExc_ValueError, "no triples of words");
        return -1;
    }
    accounting->words = (const uint64_t *)start;
    accounting->count = (size_t)length / 8;
    return 0;
}

int accounting_parse(PyObject *known, Accounting *accounting)
{
    memset(accounting, 0, sizeof *accounting);
    accounting->smaps = -1;
    if (known == NULL || known == Py_None)
        return 0;
    if (parse_words(known, accounting))
        return -1;
    accounting->smaps = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
    return 0;
}

void accounting_close(Accounting *accounting)
{
    if (accounting->smaps >= 0)
        close(accounting->smaps);
    accounting->smaps = -1;
}

static int give(Accounting *accounting)
{
    accounting->account.arrow_live = accounting->words[0];
    return account_give(&accounting->account, accounting->words + 1, accounting->count - 1);
}

/* Reads what the process has now: what comes later of the copy's own tables is not in it. */
void accounting_begin(Accounting *accounting)
{
    clock_gettime(CLOCK_MONOTONIC, &accounting->began);
    int failed = accounting->smaps < 0 ||
                 account_open(&accounting->account, 0, accounting->smaps);
    accounting_close(accounting);
    if (failed)
        return;
    accounting->account.arenas_place = pymalloc_place();
    accounting->opened = give(accounting) == 0;
}

static void on_fault(int number)
{
    siglongjmp(way_out, number);
}

static void catch_faults(void)
{
    struct sigaction caught;
    memset(&caught, 0, sizeof caught);
    caught.sa_handler = on_fault;
    sigaction(SIGSEGV, &caught, NULL);
    sigaction(SIGBUS, &caught, NULL);
}

void accounting_write(Accounting *accounting, int out)
{
    struct {
        uint64_t magic;
        Balance balance;
    } told = {.magic = ACCOUNT_MAGIC};
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    if (!accounting->opened || time.tv_sec - accounting->began.tv_sec > LATEST)
        return;
    catch_faults();
    if (sigsetjmp(way_out, 1) == 0 && source_narrow(&accounting->account.source) == 0) {
        account_take(&accounting->account, &told.balance);
        child_write(out, &told, sizeof told);
    }
}

static PyObject *as_bytes(const Balance *balance)
{
    return PyBytes_FromStringAndSize((const char *)balance, sizeof *balance);
}

static int take_of(Accounting *accounting, int pid, Balance *balance)
{
    char path[64];
    proc_path(path, pid, "smaps");
    int smaps = open(path, O_RDONLY | O_CLOEXEC);
    if (smaps < 0)
        return -1;
    int failed = account_open(&accounting->account, pid, smaps);
    close(smaps);
    if (failed) {
        errno = EIO;
        return -1;
    }
    if (give(accounting) == 0)
        account_take(&accounting->account, balance);
    account_close(&accounting->account);
    return 0;
}

PyObject *account_python(PyObject *module, PyObject *args)
{
    PyObject *known;
    int pid, failed;
    Accounting accounting;
    Balance balance;
    (void)module;
    memset(&accounting, 0, sizeof accounting);
    memset(&balance, 0, sizeof balance);
    if (!PyArg_ParseTuple(args, "iO", &pid, &known) || parse_words(known, &accounting))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    failed = take_of(&accounting, pid, &balance);
    Py_END_ALLOW_THREADS
    return failed ? PyErr_SetFromErrno(PyExc_OSError) : as_bytes(&balance);
}

/* struct mallinfo2 of glibc 2.33 */
typedef struct {
    size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
} MallocInfo;

PyObject *account_malloc(PyObject *module, PyObject *ignored)
{
    MallocInfo (*ask)(void);
    MallocInfo info;
    (void)module;
    (void)ignored;
    *(void **)&ask = dlsym(RTLD_DEFAULT, "mallinfo2");
    if (ask == NULL)
        Py_RETURN_NONE;
    Py_BEGIN_ALLOW_THREADS
    info = ask();
    Py_END_ALLOW_THREADS
    return Py_BuildValue("KK", (unsigned long long)(info.uordblks + info.hblkhd),
                         (unsigned long long)info.fordblks);
}
