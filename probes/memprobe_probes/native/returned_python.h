/* A private way in from Python, for tests: _returned(blocks, buffers) -> (trimmed, untrimmed). */
#ifndef MEMPROBE_RETURNED_PYTHON_H
#define MEMPROBE_RETURNED_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

PyObject *returned_python(PyObject *module, PyObject *args);

#define RETURNED_METHOD                                                                           \
    {"_returned", returned_python, METH_VARARGS,                                                  \
     "Return the bytes that go back to the system, with a trim and without.\n\n"                  \
     "blocks: addresses of objects' allocations, 8 bytes each; buffers: addresses and sizes."}

#endif
