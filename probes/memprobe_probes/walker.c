/* The native walker: module and entry points. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *walker_check(PyObject *module, PyObject *ignored)
{
    (void)module;
    (void)ignored;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"check", walker_check, METH_NOARGS, "Return None, or why this interpreter is refused."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "walker", NULL, 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_walker(void)
{
    return PyModuleDef_Init(&definition);
}
