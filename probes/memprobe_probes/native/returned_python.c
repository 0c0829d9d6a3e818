#include "returned_python.h"

#include <string.h>

#include "returned.h"

static uint64_t number(const char *bytes, Py_ssize_t place)
{
    uint64_t value;
    memcpy(&value, bytes + place * 8, sizeof(value));
    return value;
}

static void free_all(Returned *r, const char *blocks, Py_ssize_t block_count, const char *buffers,
                     Py_ssize_t buffer_count)
{
    for (Py_ssize_t i = 0; i < block_count; i++)
        returned_block(r, (const void *)(uintptr_t)number(blocks, i));
    for (Py_ssize_t i = 0; i < buffer_count; i++)
        returned_malloc(r, (const void *)(uintptr_t)number(buffers, 2 * i),
                        number(buffers, 2 * i + 1));
}

PyObject *returned_python(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *first, *second;
    char *blocks, *buffers;
    Py_ssize_t blocks_size, buffers_size;
    uint64_t trimmed, untrimmed;
    if (!PyArg_ParseTuple(args, "SS", &first, &second) ||
        PyBytes_AsStringAndSize(first, &blocks, &blocks_size) < 0 ||
        PyBytes_AsStringAndSize(second, &buffers, &buffers_size) < 0)
        return NULL;
    Returned *r = returned_prepare() ? NULL : returned_open();
    if (r == NULL) {
        const char *reason = returned_reason();
        PyErr_SetString(PyExc_RuntimeError, reason ? reason : "no memory");
        return NULL;
    }
    free_all(r, blocks, blocks_size / 8, buffers, buffers_size / 16);
    returned_result(r, &trimmed, &untrimmed);
    returned_close(r);
    return Py_BuildValue("KK", (unsigned long long)trimmed, (unsigned long long)untrimmed);
}
