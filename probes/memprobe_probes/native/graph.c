#define _GNU_SOURCE
#include "graph.h"

#include <string.h>
#include <time.h>

#include "arrays.h"
#include "layout.h"

enum { FIRST_NODES = 1 << 14, CHECK_EVERY = 4095, AHEAD = 12, CUT = -1 };

uint64_t graph_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int graph_open(Graph *graph, Kinds *kinds)
{
    memset(graph, 0, sizeof *graph);
    graph->kinds = kinds;
    graph->most = NO_NODE - 2;
    if (shadow_open(&graph->shadow) || table_open(&graph->objects, 8, FIRST_NODES) ||
        table_open(&graph->kind_of, 4, FIRST_NODES) || table_open(&graph->sizes, 8, FIRST_NODES) ||
        table_open(&graph->parents, 4, FIRST_NODES) || table_open(&graph->unmet, 4, FIRST_NODES) ||
        table_open(&graph->starts, 8, FIRST_NODES) || table_open(&graph->edges, 4, FIRST_NODES) ||
        table_open(&graph->buffers, sizeof(Buffer), 512) || table_open(&graph->places, 4, 2048) ||
        table_open(&graph->missed, 8, 1024) || table_open(&graph->classes, 8, 512) ||
        table_open(&graph->opaque, 4, 1024))
        return -1;
    graph->starts.used = 1;
    return 0;
}

void graph_close(Graph *graph)
{
    Table *tables[] = {&graph->objects, &graph->kind_of, &graph->sizes,   &graph->parents,
                       &graph->unmet,   &graph->starts,  &graph->edges,   &graph->buffers,
                       &graph->places,  &graph->missed,  &graph->classes, &graph->opaque,
                       &graph->parts,   &graph->cuts};
    for (size_t at = 0; at < sizeof tables / sizeof *tables; at++)
        table_close(tables[at]);
    shadow_close(&graph->shadow);
}

static uint32_t fail(Graph *graph, State state)
{
    if (graph->state == GRAPH_WHOLE)
        graph->state = state;
    return NO_NODE;
}

int graph_stop(Graph *graph, const void *object)
{
    uint32_t *place = shadow_place(&graph->shadow, object);
    if (place == NULL)
        return -1;
    *place = (uint32_t)CUT;
    return 0;
}

uint32_t graph_find(const Graph *graph, const void *object)
{
    uint32_t found = shadow_find(&graph->shadow, object);
    return found == 0 || found == (uint32_t)CUT ? NO_NODE : found - 1;
}

static uint32_t append(Graph *graph, const void *object, uint32_t kind, uint64_t size,
                       int32_t unmet, uint32_t parent)
{
    size_t node = graph->objects.used;
    if (node >= graph->most)
        return fail(graph, GRAPH_TOO_MANY);
    if (table_make_room(&graph->objects, 1) || table_make_room(&graph->kind_of, 1) ||
        table_make_room(&graph->sizes, 1) || table_make_room(&graph->parents, 1) ||
        table_make_room(&graph->unmet, 1) ||
        (graph->starts.room < node + 3 && table_grow(&graph->starts, node + 3)))
        return fail(graph, GRAPH_NO_MEMORY);
    ((const void **)graph->objects.rows)[node] = object;
    ((uint32_t *)graph->kind_of.rows)[node] = kind;
    ((uint64_t *)graph->sizes.rows)[node] = size;
    ((uint32_t *)graph->parents.rows)[node] = parent;
    ((int32_t *)graph->unmet.rows)[node] = unmet;
    graph->objects.used = graph->kind_of.used = graph->sizes.used = graph->parents.used =
        graph->unmet.used = node + 1;
    return (uint32_t)node;
}

/* A class is walked only where Python said so of that very class. */
static int is_cut_class(Graph *graph, const void *object)
{
    uint32_t own = kinds_known(graph->kinds, object);
    uint32_t flags = own == UINT32_MAX ? KIND_UNKNOWN : kinds_row(graph->kinds, own)->flags;
    if (flags & KIND_UNKNOWN && PyType_GetFlags((PyTypeObject *)object) & Py_TPFLAGS_HEAPTYPE &&
        table_make_room(&graph->classes, 1) == 0)
        ((const void **)graph->classes.rows)[graph->classes.used++] = object;
    return !(flags & KIND_WALKED) || flags & KIND_UNKNOWN;
}

uint32_t graph_adopt(Graph *graph, const void *object)
{
    uint32_t *place = shadow_place(&graph->shadow, object);
    if (place == NULL)
        return fail(graph, GRAPH_NO_MEMORY);
    if (*place)
        return NO_NODE;
    uint32_t number = kinds_of(graph->kinds, Py_TYPE((PyObject *)object));
    if (number == UINT32_MAX)
        return fail(graph, GRAPH_NO_MEMORY);
    const Kind *kind = kinds_row(graph->kinds, number);
    uint64_t size = kind->flags & KIND_CLASS ? 0 : layout_size(kind, object);
    uint32_t node =
        append(graph, object, number, (size + 15) & ~UINT64_C(15), layout_references(object), NO_NODE);
    if (node != NO_NODE)
        *place = node + 1;
    return node;
}

uint32_t graph_add(Graph *graph, const void *object, uint32_t parent)
{
    uint32_t *place = shadow_place(&graph->shadow, object);
    if (place == NULL)
        return fail(graph, GRAPH_NO_MEMORY);
    if (*place)
        return *place == (uint32_t)CUT ? NO_NODE : *place - 1;
    uint32_t number = kinds_of(graph->kinds, Py_TYPE((PyObject *)object));
    if (number == UINT32_MAX)
        return fail(graph, GRAPH_NO_MEMORY);
    const Kind *kind = kinds_row(graph->kinds, number);
    if (kind->flags & KIND_STOP && !(kind->flags & KIND_CLASS && !is_cut_class(graph, object))) {
        *place = (uint32_t)CUT;
        return NO_NODE;
    }
    uint64_t size = (layout_size(kind, object) + 15) & ~UINT64_C(15);
    uint32_t node = append(graph, object, number, size, layout_references(object), parent);
    if (node != NO_NODE)
        *place = node + 1;
    return node;
}

void graph_link(Graph *graph, uint32_t target)
{
    if (table_make_room(&graph->edges, 1)) {
        fail(graph, GRAPH_NO_MEMORY);
        return;
    }
    ((uint32_t *)graph->edges.rows)[graph->edges.used++] = target;
}

/* What a task waits for, and the context it runs in, are not the task's to keep. */
static int is_cut_here(const Graph *graph, const void *object)
{
    uint32_t known = kinds_known(graph->kinds, Py_TYPE((PyObject *)object));
    if (known != UINT32_MAX && kinds_row(graph->kinds, known)->flags & KIND_CONTEXT)
        return 1;
    const uint64_t *pairs = graph->cuts.rows;
    const void *task = graph_object(graph, graph->node);
    for (size_t at = 0; at + 1 < graph->cuts.used; at += 2)
        if (pairs[at] == (uintptr_t)task && pairs[at + 1] == (uintptr_t)object)
            return 1;
    return 0;
}

void graph_refer_now(Graph *graph)
{
    size_t count = graph->waiting;
    graph->waiting = 0;
    for (size_t at = 0; at < count && graph->state == GRAPH_WHOLE; at++) {
        if (at + AHEAD < count)
            __builtin_prefetch(graph->batch[at + AHEAD]);
        if (graph->task && is_cut_here(graph, graph->batch[at]))
            continue;
        uint32_t target = graph_add(graph, graph->batch[at], graph->node);
        if (target == NO_NODE)
            continue;
        graph_met(graph, target);
        graph_link(graph, target);
    }
}

int graph_refer(PyObject *object, void *arg)
{
    Graph *graph = arg;
    if (graph->per_node && ++graph->referred > graph->per_node) {
        graph->shortened++;
        return 1;
    }
    graph->batch[graph->waiting++] = object;
    if (graph->waiting == sizeof graph->batch / sizeof *graph->batch)
        graph_refer_now(graph);
    return graph->state != GRAPH_WHOLE;
}

static uint32_t *buffer_place(const Graph *graph, uint64_t address)
{
    uint32_t *places = graph->places.rows;
    const Buffer *rows = graph->buffers.rows;
    size_t mask = graph->places.room - 1;
    size_t at = (size_t)((address * UINT64_C(0x9E3779B97F4A7C15)) >> 22) & mask;
    while (places[at] && rows[places[at] - 1].address != address)
        at = (at + 1) & mask;
    return places + at;
}

static int widen_places(Graph *graph)
{
    Table wider;
    if (table_open(&wider, 4, graph->places.room * 2))
        return -1;
    table_close(&graph->places);
    graph->places = wider;
    const Buffer *rows = graph->buffers.rows;
    for (uint32_t at = 0; at < graph->buffers.used; at++)
        *buffer_place(graph, rows[at].address) = at + 1;
    return 0;
}

static Buffer *new_buffer(Graph *graph, uint64_t address, uint32_t *place)
{
    uint32_t node = append(graph, (const void *)(uintptr_t)address, 0, 0, 0, graph->node);
    if (node == NO_NODE)
        return NULL;
    *place = (uint32_t)graph->buffers.used + 1;
    Buffer *buffer = (Buffer *)graph->buffers.rows + graph->buffers.used++;
    *buffer = (Buffer){.address = address, .node = node, .owner = NO_NODE};
    return buffer;
}

void graph_buffer(Graph *graph, uint64_t address, uint64_t bytes, uint32_t owner, int lent)
{
    if (table_make_room(&graph->buffers, 1) ||
        (graph->buffers.used * 2 > graph->places.room && widen_places(graph))) {
        fail(graph, GRAPH_NO_MEMORY);
        return;
    }
    uint32_t *place = buffer_place(graph, address);
    Buffer *buffer = *place ? (Buffer *)graph->buffers.rows + (*place - 1)
                            : new_buffer(graph, address, place);
    if (buffer == NULL)
        return;
    if (bytes > buffer->bytes)
        buffer->bytes = *graph_size(graph, buffer->node) = bytes;
    if (owner != NO_NODE)
        buffer->owner = owner;
    buffer->lent |= (uint32_t)lent;
    graph_link(graph, buffer->node);
}

static const Parts *parts_of(const Graph *graph, const void *object)
{
    const Parts *rows = graph->parts.rows;
    size_t low = 0, high = graph->parts.used;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (rows[middle].object < object)
            low = middle + 1;
        else
            high = middle;
    }
    return low < graph->parts.used && rows[low].object == object ? rows + low : NULL;
}

static void note_opaque(Graph *graph, uint32_t node, const Parts *parts)
{
    uint32_t number = ((uint32_t *)graph->kind_of.rows)[node];
    if (table_make_room(&graph->opaque, 1) == 0)
        ((uint32_t *)graph->opaque.rows)[graph->opaque.used++] = node;
    if (parts == NULL && (number < graph->missed.room ||
                          table_grow(&graph->missed, (size_t)number + 1) == 0))
        ((uint64_t *)graph->missed.rows)[number]++;
}

static void refer_to_parts(Graph *graph, uint32_t node)
{
    const Parts *parts = parts_of(graph, graph_object(graph, node));
    note_opaque(graph, node, parts);
    if (parts == NULL)
        return;
    if (parts->size)
        *graph_size(graph, node) = (parts->size + 15) & ~UINT64_C(15);
    for (uint64_t at = 0; at < parts->child_count; at++)
        graph_refer((PyObject *)(uintptr_t)parts->children[at], graph);
    graph_refer_now(graph);
    for (uint64_t at = 0; at < parts->buffer_count; at++)
        graph_buffer(graph, parts->buffers[2 * at], parts->buffers[2 * at + 1], NO_NODE, 1);
}

static int is_wakeup(const Graph *graph, const Kind *kind, const void *object)
{
    if (kind->flags & KIND_WAKEUP)
        return 1;
    if (!(kind->flags & KIND_METHOD))
        return 0;
    PyObject *bound = (PyObject *)layout_word(object, 24);
    if (bound == NULL)
        return 0;
    uint32_t known = kinds_known(graph->kinds, Py_TYPE(bound));
    return known != UINT32_MAX && kinds_row(graph->kinds, known)->flags & KIND_TASK;
}

int graph_traversable(const Kind *kind, const void *object)
{
    if (kind->traverse == NULL)
        return 0;
    /* The interpreter aborts when a class that is not on the heap is traversed. */
    return !(kind->flags & KIND_CLASS) ||
           PyType_GetFlags((PyTypeObject *)object) & Py_TPFLAGS_HEAPTYPE;
}

static void expand_one(Graph *graph, uint32_t node)
{
    const Kind kind = *graph_kind(graph, node);
    const void *object = graph_object(graph, node);
    graph->node = node;
    graph->task = kind.flags & KIND_TASK;
    graph->referred = 0;
    if (kind.flags & KIND_BUFFER) {
        for (int at = 0; at < BUFFER_EDGES; at++)
            graph_link(graph, NO_NODE);
    } else if (!(kind.flags & (KIND_LEAF | KIND_FIXED)) && !is_wakeup(graph, &kind, object)) {
        if (kind.flags & KIND_ARRAY)
            arrays_refer(graph, node, object);
        if (kind.flags & KIND_OPAQUE)
            refer_to_parts(graph, node);
        if (graph_traversable(&kind, object))
            kind.traverse((PyObject *)object, graph_refer, graph);
        layout_untold(&kind, object, graph_refer, graph);
        graph_refer_now(graph);
    }
    graph->task = 0;
}

void graph_expanded(Graph *graph)
{
    size_t next = ++graph->expanded;
    ((uint64_t *)graph->starts.rows)[next] = graph->edges.used;
    graph->starts.used = next + 1;
}

int graph_out_of_time(Graph *graph)
{
    if (graph->deadline && graph_now() > graph->deadline)
        fail(graph, GRAPH_TOO_LONG);
    return graph->state != GRAPH_WHOLE;
}

void graph_expand(Graph *graph)
{
    while (graph->expanded < graph->objects.used) {
        size_t node = graph->expanded;
        if (!(node & CHECK_EVERY) && graph_out_of_time(graph))
            return;
        if (node + AHEAD < graph->objects.used)
            __builtin_prefetch(graph_object(graph, (uint32_t)(node + AHEAD)));
        expand_one(graph, (uint32_t)node);
        if (graph->state != GRAPH_WHOLE)
            return;
        graph_expanded(graph);
    }
}
