#include "arrays.h"

#include <string.h>

#include "layout.h"

enum { DATA = 16, DIMENSIONS = 24, SHAPE = 32, STRIDES = 40, BASE = 48, DTYPE = 56 };
enum { MOST_DIMENSIONS = 64, OBJECT = 17, RECORD = 20, TYPE_NUMBER = 28 };
enum { MOST_FIELDS = 256, MOST_NESTED = 8 };

/* Where in an element the objects are. */
typedef struct {
    size_t count;
    uint64_t offsets[MOST_FIELDS];
} Places;

static uint64_t elsize(const Graph *graph, const void *dtype)
{
    uint64_t word = layout_word(dtype, (ptrdiff_t)graph->arrays.elsize);
    return graph->arrays.elsize_wide ? word : (uint32_t)word;
}

static int has_objects(const Graph *graph, const void *dtype)
{
    uint64_t word = layout_word(dtype, (ptrdiff_t)graph->arrays.flags);
    return (graph->arrays.flags_wide ? word : word & 0xff) & 1;
}

const void *arrays_base(const void *array)
{
    return (const void *)layout_word(array, BASE);
}

static int dimensions(const void *array)
{
    return *(const int *)((const char *)array + DIMENSIONS);
}

uint64_t arrays_extent(const Graph *graph, const void *array, uint64_t *low, uint64_t *high)
{
    const int64_t *shape = (const int64_t *)layout_word(array, SHAPE);
    const int64_t *strides = (const int64_t *)layout_word(array, STRIDES);
    uint64_t item = elsize(graph, (const void *)layout_word(array, DTYPE)), bytes = item;
    *low = *high = layout_word(array, DATA);
    for (int at = 0; at < dimensions(array); at++) {
        if (shape[at] == 0)
            return *high = *low = layout_word(array, DATA), 0;
        int64_t span = (shape[at] - 1) * strides[at];
        *(span < 0 ? low : high) += (uint64_t)span;
        bytes *= (uint64_t)shape[at];
    }
    *high += item;
    return bytes;
}

void arrays_blocks(const Graph *graph, const void *array, layout_tell tell, void *arg)
{
    uint64_t low, high, bytes;
    if (!graph->arrays.known)
        return;
    bytes = arrays_extent(graph, array, &low, &high);
    if (arrays_base(array) == NULL)
        tell(arg, (const void *)layout_word(array, DATA), bytes);
    if (dimensions(array))
        tell(arg, (const void *)layout_word(array, SHAPE), (size_t)dimensions(array) * 16);
}

static int type_number(const void *dtype)
{
    return *(const int *)((const char *)dtype + TYPE_NUMBER);
}

static void add_place(Places *places, uint64_t offset)
{
    for (size_t at = 0; at < places->count; at++)
        if (places->offsets[at] == offset) /* a field's title leads there too */
            return;
    if (places->count < MOST_FIELDS)
        places->offsets[places->count++] = offset;
}

static void find_places(const Graph *graph, const void *dtype, uint64_t offset, Places *places,
                        int nested)
{
    if (type_number(dtype) == OBJECT)
        add_place(places, offset);
    if (type_number(dtype) != RECORD || nested == MOST_NESTED)
        return;
    PyObject *fields = (PyObject *)layout_word(dtype, (ptrdiff_t)graph->arrays.fields);
    PyObject *name, *field;
    Py_ssize_t at = 0;
    if (fields == NULL || !PyDict_Check(fields))
        return;
    while (PyDict_Next(fields, &at, &name, &field))
        if (PyTuple_Check(field) && PyTuple_Size(field) >= 2 &&
            PyLong_Check(PyTuple_GetItem(field, 1)))
            find_places(graph, PyTuple_GetItem(field, 0),
                        offset + (uint64_t)PyLong_AsSsize_t(PyTuple_GetItem(field, 1)), places,
                        nested + 1);
}

static int refer_to_places(Graph *graph, const char *element, const Places *places)
{
    for (size_t at = 0; at < places->count; at++) {
        PyObject *object;
        memcpy(&object, element + places->offsets[at], sizeof object); /* fields may be packed */
        if (object != NULL && graph_refer(object, graph))
            return 1;
    }
    return 0;
}

/* Tells every element of an array of objects, whatever its strides. */
static void refer_to_elements(Graph *graph, const void *array, const Places *places)
{
    const int64_t *shape = (const int64_t *)layout_word(array, SHAPE);
    const int64_t *strides = (const int64_t *)layout_word(array, STRIDES);
    int count = dimensions(array);
    int64_t at[MOST_DIMENSIONS] = {0};
    const char *place = (const char *)layout_word(array, DATA);
    if (count > MOST_DIMENSIONS)
        return;
    for (int axis = 0; axis < count; axis++)
        if (shape[axis] == 0)
            return;
    for (;;) {
        if (refer_to_places(graph, place, places))
            return;
        int axis = count - 1;
        while (axis >= 0 && ++at[axis] == shape[axis]) {
            place -= (shape[axis] - 1) * strides[axis];
            at[axis--] = 0;
        }
        if (axis < 0)
            return;
        place += strides[axis];
    }
}

void arrays_refer(Graph *graph, uint32_t node, const void *array)
{
    const void *base = arrays_base(array), *dtype = (const void *)layout_word(array, DTYPE);
    uint64_t low, high, bytes;
    uint32_t flags = 0;
    if (!graph->arrays.known)
        return;
    bytes = arrays_extent(graph, array, &low, &high);
    if (base != NULL) {
        uint32_t number = kinds_of(graph->kinds, Py_TYPE((PyObject *)base));
        flags = number == UINT32_MAX ? 0 : kinds_row(graph->kinds, number)->flags;
        graph_refer((PyObject *)base, graph);
    }
    if (base == NULL && bytes >= LEAST_BUFFER)
        graph_buffer(graph, layout_word(array, DATA), bytes, node, 0);
    else if (base != NULL && !(flags & (KIND_ARRAY | KIND_KNOWN_BASE)) &&
             high - low >= LEAST_BUFFER)
        graph_buffer(graph, low, high - low, NO_NODE, 0);
    if (has_objects(graph, dtype) && !(flags & KIND_ARRAY)) {
        Places places = {0};
        find_places(graph, dtype, 0, &places, 0);
        if (places.count)
            refer_to_elements(graph, array, &places);
    }
}
