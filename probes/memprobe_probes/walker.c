/* The native walker: module and entry points.

   Python prepares a request, this walks: a little way, for what Python has to be asked about
   (scout), here and now (here), or in a copy of the process whose memory stands still (spawn). */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "native/account.h"
#include "native/account_python.h"
#include "native/answer.h"
#include "native/arrays.h"
#include "native/buffers.h"
#include "native/child.h"
#include "native/collector.h"
#include "native/graph.h"
#include "native/layout.h"
#include "native/owners.h"
#include "native/returned.h"
#include "native/returned_python.h"

enum { STATUS_WRITTEN = 0, STATUS_NO_MEMORY = 71, STATUS_NOT_WRITTEN = 74 };
enum { STAKE = 1 << 20 };

typedef struct {
    uint64_t most_nodes, memory, milliseconds, least_group, collect, simulate, per_node;
} Limits;

/* The content of a bytes object that the caller keeps. */
typedef struct {
    const void *start;
    size_t bytes;
} View;

typedef struct {
    PyObject *roots, *held;
    View kinds, stops, cuts, parts, asked, opened, arrays;
    Limits limits;
} Request;

typedef struct {
    Kinds kinds;
    Graph graph;
    Owners owners;
    Garbage garbage;
    Table nodes, roots, held, words; /* of the roots; their objects; temporary references */
    uint64_t started, walked;
} Walk;

static int view_of(PyObject *bytes, View *view)
{
    char *start;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(bytes, &start, &length))
        return -1;
    *view = (View){start, (size_t)length};
    return 0;
}

/* A request: (roots, held, kinds, stops, cuts, parts, asked, opened, arrays, limits). */
static int request_parse(PyObject *tuple, Request *request)
{
    PyObject *given[8];
    View limits, *views[] = {&request->kinds, &request->stops, &request->cuts,  &request->parts,
                             &request->asked, &request->opened, &request->arrays, &limits};
    memset(request, 0, sizeof *request);
    if (!PyArg_ParseTuple(tuple, "O!O!OOOOOOOO", &PyList_Type, &request->roots, &PyList_Type,
                          &request->held, given, given + 1, given + 2, given + 3, given + 4,
                          given + 5, given + 6, given + 7))
        return -1;
    for (size_t at = 0; at < 8; at++)
        if (view_of(given[at], views[at]))
            return -1;
    if (limits.bytes != sizeof request->limits || request->arrays.bytes != sizeof(ArrayLayout)) {
        PyErr_SetString(PyExc_ValueError, "limits or arrays of another length");
        return -1;
    }
    memcpy(&request->limits, limits.start, sizeof request->limits);
    return 0;
}

static const uint64_t *words_of(const View *view, size_t *count)
{
    *count = view->bytes / 8;
    return view->start;
}

static int take_kinds(Walk *walk, const Request *request)
{
    size_t count;
    const uint64_t *words = words_of(&request->kinds, &count);
    for (size_t at = 0; at + 1 < count; at += 2)
        if (kinds_add(&walk->kinds, (PyTypeObject *)(uintptr_t)words[at],
                      (uint32_t)(words[at + 1] & 0xffffff), (uint32_t)(words[at + 1] >> 24 & 0xff),
                      (uint32_t)(words[at + 1] >> 32)) == UINT32_MAX)
            return -1;
    return 0;
}

static int take_words(Table *table, const View *view)
{
    size_t count;
    const uint64_t *words = words_of(view, &count);
    if (table_open(table, 8, count + 1))
        return -1;
    memcpy(table->rows, words, count * 8);
    table->used = count;
    return 0;
}

/* Of each object: address, size, number of children, number of buffers, then those. */
static int take_parts(Walk *walk, const Request *request)
{
    size_t count, rows = 0;
    const uint64_t *words = words_of(&request->parts, &count);
    for (size_t at = 0; at + 3 < count; at += 4 + words[at + 2] + 2 * words[at + 3])
        rows++;
    if (table_open(&walk->graph.parts, sizeof(Parts), rows + 1))
        return -1;
    for (size_t at = 0; at + 3 < count; at += 4 + words[at + 2] + 2 * words[at + 3])
        ((Parts *)walk->graph.parts.rows)[walk->graph.parts.used++] = (Parts){
            (const void *)(uintptr_t)words[at], words[at + 1], words + at + 4,
            words + at + 4 + words[at + 2], words[at + 2], words[at + 3]};
    return 0;
}

/* The references of the caller's own lists, so that they can be told from the program's. */
static int take_held(Walk *walk, const Request *request)
{
    Py_ssize_t lists = PyList_Size(request->held);
    if (table_open(&walk->held, 8, 1024))
        return -1;
    for (Py_ssize_t at = -1; at < lists; at++) {
        PyObject *list = at < 0 ? request->roots : PyList_GetItem(request->held, at);
        if (!PyList_Check(list))
            continue;
        for (Py_ssize_t item = 0; item < PyList_Size(list); item++) {
            if (table_make_room(&walk->held, 1))
                return -1;
            ((const void **)walk->held.rows)[walk->held.used++] = PyList_GetItem(list, item);
        }
    }
    return 0;
}

static int take_roots(Walk *walk, const Request *request)
{
    Py_ssize_t count = PyList_Size(request->roots);
    if (table_open(&walk->nodes, 4, (size_t)count + 1) ||
        table_open(&walk->roots, 8, (size_t)count + 1))
        return -1;
    for (Py_ssize_t at = 0; at < count; at++)
        ((const void **)walk->roots.rows)[walk->roots.used++] = PyList_GetItem(request->roots, at);
    return 0;
}

/* Everything that needs Python, before the memory stands still. */
static int prepare(Walk *walk, const Request *request)
{
    size_t count;
    memset(walk, 0, sizeof *walk);
    walk->started = graph_now();
    memory_bound(request->limits.memory);
    if (kinds_open(&walk->kinds) || take_kinds(walk, request) ||
        graph_open(&walk->graph, &walk->kinds) || take_words(&walk->graph.cuts, &request->cuts) ||
        take_parts(walk, request) || take_held(walk, request) || take_roots(walk, request) ||
        table_open(&walk->words, 8, 4096))
        return -1;
    memcpy(&walk->graph.arrays, request->arrays.start, sizeof walk->graph.arrays);
    walk->graph.most = request->limits.most_nodes;
    walk->graph.per_node = request->limits.per_node;
    const uint64_t *stops = words_of(&request->stops, &count);
    for (size_t at = 0; at < count; at++)
        if (graph_stop(&walk->graph, (const void *)(uintptr_t)stops[at]))
            return -1;
    return 0;
}

static void finish(Walk *walk)
{
    collector_close(&walk->garbage);
    owners_close(&walk->owners);
    graph_close(&walk->graph);
    kinds_close(&walk->kinds);
    table_close(&walk->nodes);
    table_close(&walk->roots);
    table_close(&walk->held);
    table_close(&walk->words);
}

static void walk_roots(Walk *walk)
{
    Graph *graph = &walk->graph;
    for (size_t at = 0; at < walk->roots.used; at++) {
        uint32_t node = graph_add(graph, ((const void **)walk->roots.rows)[at], NO_NODE);
        ((uint32_t *)walk->nodes.rows)[walk->nodes.used++] = node;
        if (node != NO_NODE)
            graph_met(graph, node);
    }
    graph->named = 1;
    graph_expand(graph);
    graph->named = 0;
    for (size_t at = 0; at < walk->held.used; at++) {
        uint32_t node = graph_find(graph, ((const void **)walk->held.rows)[at]);
        if (node != NO_NODE)
            graph_met(graph, node);
    }
}

/* Whether much hangs on the question who has the references that were not met. */
static int much_at_stake(Walk *walk)
{
    const Graph *graph = &walk->graph;
    size_t count = graph_nodes(graph);
    Table seen = {0}, pending = {0};
    uint64_t total = 0;
    if (table_open(&seen, 1, count + 1) || table_open(&pending, 4, count + 1))
        total = STAKE;
    for (uint32_t node = 0; node < count && total < STAKE; node++) {
        if (((uint8_t *)seen.rows)[node] || !owners_is_unmet(graph, node) ||
            graph_kind(graph, node)->flags & (KIND_LEAF | KIND_FIXED | KIND_TRIVIAL))
            continue;
        ((uint8_t *)seen.rows)[node] = 1;
        ((uint32_t *)pending.rows)[pending.used++] = node;
        while (pending.used && total < STAKE) {
            uint32_t above = ((uint32_t *)pending.rows)[--pending.used];
            total += graph_size(graph, above);
            for (uint64_t at = graph_start(graph, above); at < graph_start(graph, above + 1); at++) {
                uint32_t below = *graph_edge(graph, at);
                if (below == NO_NODE || ((uint8_t *)seen.rows)[below])
                    continue;
                ((uint8_t *)seen.rows)[below] = 1;
                ((uint32_t *)pending.rows)[pending.used++] = below;
            }
        }
    }
    table_close(&seen);
    table_close(&pending);
    return total >= STAKE;
}

/* Walks and answers; `walk->words` holds the answer. Returns 0, or -1 without memory. */
static int walk_and_answer(Walk *walk, const Request *request)
{
    Graph *graph = &walk->graph;
    if (request->limits.milliseconds)
        graph->deadline = graph_now() + request->limits.milliseconds * 1000000;
    walk_roots(walk);
    if (graph->state != GRAPH_WHOLE) {
        uint64_t told[] = {ANSWER_MAGIC, graph->state, graph_nodes(graph)};
        if (table_make_room(&walk->words, 3))
            return -1;
        memcpy(walk->words.rows, told, sizeof told);
        walk->words.used = 3;
        return 0;
    }
    if (buffers_settle(graph))
        return -1;
    walk->garbage.first = graph_nodes(graph);
    walk->walked = graph_now();
    if (request->limits.collect || much_at_stake(walk))
        collector_look(graph, &walk->garbage);
    if (owners_find(&walk->owners, graph, walk->nodes.rows, (uint32_t)walk->roots.used,
                    walk->garbage.first))
        return -1;
    Question question = {
        .graph = graph, .owners = &walk->owners, .garbage = &walk->garbage,
        .root_nodes = walk->nodes.rows, .roots = walk->roots.rows,
        .root_count = (uint32_t)walk->roots.used, .held = walk->held.rows,
        .held_count = walk->held.used, .asked = request->asked.start,
        .asked_count = request->asked.bytes / sizeof(Asked),
        .opened = request->opened.start, .opened_count = request->opened.bytes / 8,
        .least_group = request->limits.least_group, .simulate = (int)request->limits.simulate,
        .started = walk->started, .walked = walk->walked};
    return answer(&question, &walk->words);
}

static PyObject *no_memory(void)
{
    PyErr_SetString(PyExc_MemoryError, "no memory for the walk's tables");
    return NULL;
}

static PyObject *walker_here(PyObject *module, PyObject *tuple)
{
    Request request;
    Walk walk;
    PyObject *found = NULL;
    (void)module;
    if (request_parse(tuple, &request))
        return NULL;
    if (prepare(&walk, &request) || walk_and_answer(&walk, &request))
        found = no_memory();
    else
        found = PyBytes_FromStringAndSize(walk.words.rows, (Py_ssize_t)walk.words.used * 8);
    finish(&walk);
    return found;
}

/* The account comes after the answer: whatever happens to it, that is there. */
static void be_the_child(Walk *walk, const Request *request, int out, Accounting *accounting)
{
    int status = STATUS_NO_MEMORY;
    accounting_begin(accounting);
    if (walk_and_answer(walk, request) == 0)
        status = child_write(out, walk->words.rows, walk->words.used * 8) ? STATUS_NOT_WRITTEN
                                                                          : STATUS_WRITTEN;
    if (status == STATUS_WRITTEN)
        accounting_write(accounting, out);
    _exit(status);
}

static PyObject *walker_spawn(PyObject *module, PyObject *args)
{
    PyObject *tuple;
    Request request;
    Walk walk;
    PyObject *known = NULL;
    Accounting accounting;
    int out;
    unsigned seconds;
    pid_t pid = -ENOMEM;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!iI|O", &PyTuple_Type, &tuple, &out, &seconds, &known) ||
        request_parse(tuple, &request) || accounting_parse(known, &accounting))
        return NULL;
    if (prepare(&walk, &request) == 0) {
        pid = child_start(out, accounting.smaps < 0 ? out : accounting.smaps, seconds);
        if (pid == 0)
            be_the_child(&walk, &request, out, &accounting);
    }
    accounting_close(&accounting);
    finish(&walk);
    if (pid == -ENOMEM)
        return no_memory();
    if (pid < 0) {
        errno = -pid;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return PyLong_FromLong(pid);
}

static int append(PyObject *list, const void *object)
{
    return PyList_Append(list, (PyObject *)object);
}

static int list_what_is_asked(const Walk *walk, PyObject *classes, PyObject *opaque)
{
    const Graph *graph = &walk->graph;
    for (size_t number = 1; number < walk->kinds.rows.used; number++) {
        const Kind *kind = kinds_row(&walk->kinds, (uint32_t)number);
        if (kind->flags & KIND_UNKNOWN && append(classes, kind->type))
            return -1;
    }
    for (size_t at = 0; at < graph->classes.used; at++)
        if (append(classes, ((const void **)graph->classes.rows)[at]))
            return -1;
    for (uint32_t node = 0; node < graph_nodes(graph); node++)
        if (graph_kind(graph, node)->flags & KIND_OPAQUE &&
            append(opaque, graph_object(graph, node)))
            return -1;
    return 0;
}

static PyObject *walker_scout(PyObject *module, PyObject *tuple)
{
    Request request;
    Walk walk;
    PyObject *found = NULL, *classes = PyList_New(0), *opaque = PyList_New(0);
    (void)module;
    if (classes == NULL || opaque == NULL || request_parse(tuple, &request)) {
        Py_XDECREF(classes);
        Py_XDECREF(opaque);
        return NULL;
    }
    if (prepare(&walk, &request)) {
        found = no_memory();
    } else {
        walk.graph.scouting = 1;
        walk_roots(&walk);
        if (list_what_is_asked(&walk, classes, opaque) == 0)
            found = Py_BuildValue("OOnN", classes, opaque, (Py_ssize_t)graph_nodes(&walk.graph),
                                  PyBool_FromLong(walk.graph.state == GRAPH_WHOLE &&
                                                  !walk.graph.shortened));
    }
    finish(&walk);
    Py_DECREF(classes);
    Py_DECREF(opaque);
    return found;
}

static PyObject *walker_wait(PyObject *module, PyObject *args)
{
    int pid, block, status = 0, ended;
    long long cpu_ns = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "ip", &pid, &block))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    ended = child_wait((pid_t)pid, block, &status, &cpu_ns);
    Py_END_ALLOW_THREADS
    if (ended < 0) {
        errno = -ended;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    if (ended == 0)
        Py_RETURN_NONE;
    return Py_BuildValue("iL", status, cpu_ns);
}

static PyObject *walker_rest(PyObject *module, PyObject *args)
{
    int pid, milliseconds;
    (void)module;
    if (!PyArg_ParseTuple(args, "ii", &pid, &milliseconds))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    child_rest((pid_t)pid, milliseconds);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *walker_size(PyObject *module, PyObject *args)
{
    PyObject *object;
    int sizer;
    Kinds kinds;
    (void)module;
    if (!PyArg_ParseTuple(args, "Oi", &object, &sizer))
        return NULL;
    if (kinds_open(&kinds))
        return no_memory();
    uint32_t number = kinds_add(&kinds, Py_TYPE(object), 0, (uint32_t)sizer, 0);
    uint64_t size = layout_size(kinds_row(&kinds, number), object);
    kinds_close(&kinds);
    return PyLong_FromUnsignedLongLong(size);
}

/* What is read of an ndarray: (low, high, bytes of the elements, address of its base). */
static PyObject *walker_array(PyObject *module, PyObject *args)
{
    PyObject *object, *bytes_given;
    View words;
    Graph graph;
    uint64_t low, high, bytes;
    (void)module;
    if (!PyArg_ParseTuple(args, "OO", &object, &bytes_given) || view_of(bytes_given, &words))
        return NULL;
    memset(&graph, 0, sizeof graph);
    if (words.bytes == sizeof graph.arrays)
        memcpy(&graph.arrays, words.start, sizeof graph.arrays);
    bytes = arrays_extent(&graph, object, &low, &high);
    return Py_BuildValue("KKKK", low, high, bytes,
                         (unsigned long long)(uintptr_t)arrays_base(object));
}

/* Reads only: from Python each element would be written to. */
static PyObject *walker_position(PyObject *module, PyObject *args)
{
    PyObject *container;
    unsigned long long address;
    (void)module;
    if (!PyArg_ParseTuple(args, "OK", &container, &address))
        return NULL;
    int is_list = PyList_Check(container);
    if (!is_list && !PyTuple_Check(container))
        return PyLong_FromLong(-1);
    Py_ssize_t size = is_list ? PyList_Size(container) : PyTuple_Size(container);
    const uintptr_t *items =
        (const uintptr_t *)(is_list ? layout_word(container, 24) : (uintptr_t)container + 24);
    for (Py_ssize_t at = 0; at < size; at++)
        if (items[at] == (uintptr_t)address)
            return PyLong_FromSsize_t(at);
    return PyLong_FromLong(-1);
}

/* Raised with every change of what a function here takes or gives: the probe beside which this file
   lies, of another build, must not use it. */
enum { INTERFACE = 2 };

static PyObject *walker_interface(PyObject *module, PyObject *ignored)
{
    (void)module;
    (void)ignored;
    return PyLong_FromLong(INTERFACE);
}

static PyObject *walker_check(PyObject *module, PyObject *ignored)
{
    (void)module;
    (void)ignored;
    Py_ssize_t length;
    if (layout_prepare())
        return PyUnicode_FromString("this version of Python is not known");
    PyTypeObject *const *mro = layout_mro(&PyBool_Type, &length);
    if (length != 3 || mro[0] != &PyBool_Type || mro[1] != &PyLong_Type)
        return PyUnicode_FromString("classes are laid out in another way");
    Py_RETURN_NONE;
}

/* Why garbage, or what goes back to the system, cannot be told here: (str or None, the same). Takes
   any class that was written in Python. */
static PyObject *walker_abilities(PyObject *module, PyObject *one_in_python)
{
    (void)module;
    if (!PyType_Check(one_in_python)) {
        PyErr_SetString(PyExc_TypeError, "not a class");
        return NULL;
    }
    classes_prepare(one_in_python);
    const char *garbage = collector_prepare() ? "the collector's lists are not as expected" : NULL;
    const char *returned = returned_prepare() ? returned_reason() : NULL;
    return Py_BuildValue("zz", garbage, returned);
}

static PyMethodDef methods[] = {
    {"interface", walker_interface, METH_NOARGS, "Return the number of this interface."},
    {"check", walker_check, METH_NOARGS, "Return None, or why this interpreter is refused."},
    {"abilities", walker_abilities, METH_O, "Prepare; return what cannot be told, and why."},
    {"size", walker_size, METH_VARARGS, "Return the bytes of an object, as the walk reads them."},
    {"array", walker_array, METH_VARARGS, "Return what the walk reads of an ndarray."},
    {"position", walker_position, METH_VARARGS, "Return where an object lies in a list or tuple."},
    {"scout", walker_scout, METH_O, "Return classes and objects that Python is asked about."},
    {"here", walker_here, METH_O, "Walk in this process; return the answer."},
    {"spawn", walker_spawn, METH_VARARGS, "Walk in a copy of this process; return its pid."},
    {"rest", walker_rest, METH_VARARGS, "Rest until a copy has ended, or for so many ms."},
    {"wait", walker_wait, METH_VARARGS, "Return status and CPU ns of a copy that ended, else None."},
    RETURNED_METHOD,
    ACCOUNT_METHODS,
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "walker", NULL, 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_walker(void)
{
    return PyModuleDef_Init(&definition);
}
