/* A type whose traversal does what TROUBLE says: what a library's mistake may do to a walk.

   The collector is not told of the objects, so that nothing but a walk ever calls it. */
#include <Python.h>
#include <stdlib.h>

static int mode;
static PyTypeObject *type;

static int deeper(volatile int *above)
{
    volatile int here[1000] = {above ? above[0] + 1 : 0};
    return deeper(here) + here[0];
}

static int traverse(PyObject *self, visitproc visit, void *arg)
{
    (void)self, (void)visit, (void)arg;
    if (mode == 1)
        *(volatile int *)8 = 1;
    if (mode == 2)
        for (volatile int turn = 0;; turn++)
            ;
    if (mode == 3)
        for (int turn = 0; turn < 1000; turn++)
            free(realloc(malloc(turn * 100), turn * 1000 + 1));
    if (mode == 4)
        abort();
    if (mode == 5)
        return deeper(NULL);
    return 0;
}

static PyObject *make(PyObject *module, PyObject *args)
{
    (void)module;
    if (!PyArg_ParseTuple(args, "i", &mode))
        return NULL;
    return (PyObject *)PyObject_GC_New(PyObject, type);
}

static void dealloc(PyObject *self)
{
    PyTypeObject *own = Py_TYPE(self);
    PyObject_GC_Del(self);
    Py_DECREF(own);
}

static PyType_Slot slots[] = {{Py_tp_traverse, traverse}, {Py_tp_dealloc, dealloc}, {0, NULL}};
static PyType_Spec spec = {"trouble.Trouble", sizeof(PyObject), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, slots};
static PyMethodDef methods[] = {{"make", make, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "trouble", NULL, -1, methods,
                                        NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_trouble(void)
{
    type = (PyTypeObject *)PyType_FromSpec(&spec);
    return type == NULL ? NULL : PyModule_Create(&definition);
}
