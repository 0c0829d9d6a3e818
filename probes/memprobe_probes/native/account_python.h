/* The memory account as Python asks for it: of a copy of this process, or of another process. */
#ifndef MEMPROBE_ACCOUNT_PYTHON_H
#define MEMPROBE_ACCOUNT_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <time.h>

#include "account.h"

#define ACCOUNT_MAGIC UINT64_C(0x31304343414D5057)

/* What is known beforehand, and the process's smaps, open before there is a copy of it. */
typedef struct {
    const uint64_t *words; /* bytes of Arrow's pool in use, then triples as account_give takes */
    size_t count;
    int smaps; /* -1: no account is asked for */
    int opened;
    struct timespec began;
    Account account;
} Accounting;

/* `known`: bytes, or None or NULL where no account is wanted. Returns 0, or -1 with an exception. */
int accounting_parse(PyObject *known, Accounting *accounting);
void accounting_close(Accounting *accounting);

/* In the copy: first of all, and when everything else is done. What crashes it is let be. */
void accounting_begin(Accounting *accounting);
void accounting_write(Accounting *accounting, int out);

PyObject *account_python(PyObject *module, PyObject *args);
PyObject *account_malloc(PyObject *module, PyObject *ignored);
#define ACCOUNT_METHODS                                                                    \
    {"account", account_python, METH_VARARGS, "Return the account of another process."},   \
    {"malloc", account_malloc, METH_NOARGS, "Return the bytes in use of malloc, and free."}

#endif
