#define _GNU_SOURCE
#include "graph.h"

#include <string.h>
#include <time.h>

#include "arrays.h"
#include "layout.h"

enum { FIRST_NODES = 1 << 14, CHECK_EVERY = 4095, AHEAD = 12 };
enum { SCOUTED_REFERENCES = 2, MOST_ALIKE = 100000 }; /* per node that a scout may make; in a row */
enum { UNTIL_LOOKED_AT = 16, UNTIL_TAKEN = 32 };
enum { DICT_KEYS = 32 }; /* where a dict has the address of its keys */

/* Numbers of addresses: that of the node and 1, or that the walk is cut there. */
#define CUT SHADOW_MOST

/* Among the references: the end of a node's, and an edge that leads nowhere yet. */
static const char end_of_node, no_edge;

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
    graph->most = CUT - 2;
    if (shadow_open(&graph->shadow) || table_open(&graph->objects, 8, FIRST_NODES) ||
        table_open(&graph->kind_of, 4, FIRST_NODES) || table_open(&graph->sizes, 4, FIRST_NODES) ||
        table_open(&graph->parents, 4, FIRST_NODES) || table_open(&graph->unmet, 4, FIRST_NODES) ||
        table_open(&graph->starts, 4, FIRST_NODES) || table_open(&graph->edges, 4, FIRST_NODES) ||
        table_open(&graph->buffers, sizeof(Buffer), 512) || table_open(&graph->places, 4, 2048) ||
        table_open(&graph->missed, 8, 1024) || table_open(&graph->classes, 8, 512) ||
        table_open(&graph->opaque, 4, 1024) || table_open(&graph->first_missed, 4, 1024) ||
        table_open(&graph->large, sizeof(Large), 64))
        return -1;
    graph->starts.used = 1;
    return 0;
}

void graph_close(Graph *graph)
{
    Table *tables[] = {&graph->objects, &graph->kind_of, &graph->sizes,   &graph->parents,
                       &graph->unmet,   &graph->starts,  &graph->edges,   &graph->buffers,
                       &graph->places,  &graph->missed,  &graph->classes, &graph->opaque,
                       &graph->parts,   &graph->cuts,    &graph->large,   &graph->first_missed};
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
    ShadowPlace place = shadow_locate(&graph->shadow, object);
    return place == SHADOW_NONE ? -1 : shadow_set(&graph->shadow, place, object, CUT);
}

uint32_t graph_find(const Graph *graph, const void *object)
{
    uint32_t found = shadow_find(&graph->shadow, object);
    return found == 0 || found == CUT ? NO_NODE : found - 1;
}

uint64_t graph_large(const Graph *graph, uint32_t node)
{
    const Large *rows = graph->large.rows;
    size_t at = graph->large.used;
    while (at > 0 && rows[at - 1].node != node)
        at--;
    return at ? rows[at - 1].bytes : 0;
}

void graph_resize(Graph *graph, uint32_t node, uint64_t bytes)
{
    uint32_t *size = (uint32_t *)graph->sizes.rows + node;
    *size = bytes < LARGE ? (uint32_t)bytes : LARGE;
    if (bytes < LARGE)
        return;
    if (table_make_room(&graph->large, 1))
        fail(graph, GRAPH_NO_MEMORY);
    else
        ((Large *)graph->large.rows)[graph->large.used++] = (Large){node, bytes};
}

static int widen_nodes(Graph *graph)
{
    Table *tables[] = {&graph->objects, &graph->kind_of, &graph->sizes,
                       &graph->parents, &graph->unmet,   &graph->starts};
    size_t room = graph->objects.room * 2;
    for (size_t at = 0; at < sizeof tables / sizeof *tables; at++)
        if (table_grow(tables[at], room))
            return -1;
    return 0;
}

static uint32_t append(Graph *graph, const void *object, uint32_t kind, uint64_t size,
                       int32_t unmet, uint32_t parent)
{
    size_t node = graph->objects.used;
    if (node >= graph->most)
        return fail(graph, GRAPH_TOO_MANY);
    if (node + 3 > graph->objects.room && widen_nodes(graph))
        return fail(graph, GRAPH_NO_MEMORY);
    ((const void **)graph->objects.rows)[node] = object;
    ((uint32_t *)graph->kind_of.rows)[node] = kind;
    ((uint32_t *)graph->parents.rows)[node] = parent;
    ((int32_t *)graph->unmet.rows)[node] = unmet;
    graph->objects.used = graph->kind_of.used = graph->sizes.used = graph->parents.used =
        graph->unmet.used = node + 1;
    graph_resize(graph, (uint32_t)node, size);
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

/* Keeps the number of a new node. */
static uint32_t number_at(Graph *graph, ShadowPlace place, const void *object, uint32_t node)
{
    if (node != NO_NODE && shadow_set(&graph->shadow, place, object, node + 1))
        return fail(graph, GRAPH_NO_MEMORY);
    return node;
}

uint32_t graph_adopt(Graph *graph, const void *object)
{
    ShadowPlace place = shadow_locate(&graph->shadow, object);
    if (place == SHADOW_NONE)
        return fail(graph, GRAPH_NO_MEMORY);
    if (shadow_get(&graph->shadow, place, object))
        return NO_NODE;
    uint32_t number = kinds_of(graph->kinds, Py_TYPE((PyObject *)object));
    if (number == UINT32_MAX)
        return fail(graph, GRAPH_NO_MEMORY);
    const Kind *kind = kinds_row(graph->kinds, number);
    uint64_t size = kind->flags & KIND_CLASS ? 0 : layout_size(kind, object);
    uint32_t node =
        append(graph, object, number, (size + 15) & ~UINT64_C(15), layout_references(object), NO_NODE);
    return number_at(graph, place, object, node);
}

static inline uint32_t add_at(Graph *graph, ShadowPlace place, const void *object, uint32_t parent)
{
    uint32_t found = shadow_get(&graph->shadow, place, object);
    if (found)
        return found == CUT ? NO_NODE : found - 1;
    uint32_t number = kinds_of(graph->kinds, Py_TYPE((PyObject *)object));
    if (number == UINT32_MAX)
        return fail(graph, GRAPH_NO_MEMORY);
    const Kind *kind = kinds_row(graph->kinds, number);
    if (kind->flags & KIND_STOP && !(kind->flags & KIND_CLASS && !is_cut_class(graph, object))) {
        if (shadow_set(&graph->shadow, place, object, CUT))
            fail(graph, GRAPH_NO_MEMORY);
        return NO_NODE;
    }
    uint64_t size = (layout_size(kind, object) + 15) & ~UINT64_C(15);
    uint32_t node = append(graph, object, number, size, layout_references(object), parent);
    return number_at(graph, place, object, node);
}

uint32_t graph_add(Graph *graph, const void *object, uint32_t parent)
{
    ShadowPlace place = shadow_locate(&graph->shadow, object);
    return place == SHADOW_NONE ? fail(graph, GRAPH_NO_MEMORY)
                                : add_at(graph, place, object, parent);
}

void graph_link(Graph *graph, uint32_t target)
{
    if (graph->edges.used == UINT32_MAX) {
        fail(graph, GRAPH_TOO_MANY);
        return;
    }
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

/* Asks for what is needed of an object, and of the tables if it is known. */
static inline void look_at(const Graph *graph, const Reference *reference)
{
    if (reference->place == SHADOW_NONE)
        return;
    uint32_t found = shadow_get(&graph->shadow, reference->place, reference->object);
    if (found && found != CUT)
        __builtin_prefetch(graph_unmet(graph, found - 1));
    else if (!found && Py_TYPE((PyObject *)reference->object) == &PyDict_Type)
        __builtin_prefetch((const void *)layout_word(reference->object, DICT_KEYS));
}

static inline void take(Graph *graph, const Reference *reference)
{
    if (reference->object == &end_of_node) {
        graph_expanded(graph);
    } else if (reference->object == &no_edge) {
        graph_link(graph, NO_NODE);
    } else {
        uint32_t target =
            add_at(graph, reference->place, reference->object, (uint32_t)graph->expanded);
        if (target == NO_NODE)
            return;
        graph_met(graph, target);
        graph_link(graph, target);
    }
}

/* Takes a reference, or one of the marks, among those that wait, and the oldest of them out. */
static inline void ask_for(Graph *graph, const void *object, ShadowPlace place)
{
    graph->waiting[graph->asked++ % WAITING] = (Reference){object, place};
    if (graph->asked - graph->looked_at > UNTIL_LOOKED_AT)
        look_at(graph, graph->waiting + graph->looked_at++ % WAITING);
    if (graph->asked - graph->taken > UNTIL_TAKEN)
        take(graph, graph->waiting + graph->taken++ % WAITING);
}

void graph_refer_now(Graph *graph)
{
    while (graph->taken < graph->asked && graph->state == GRAPH_WHOLE) {
        if (graph->looked_at < graph->asked)
            look_at(graph, graph->waiting + graph->looked_at++ % WAITING);
        take(graph, graph->waiting + graph->taken++ % WAITING);
    }
}

/* A scout looks for classes and for what adapters know: numbers and texts are neither, and most of
   a heap. Where an object refers to many of them in a row, the rest is taken for the same; what it
   costs is bounded by the references, whatever they lead to. Returns -1 where that is reached. */
static int is_worth_a_look(Graph *graph, PyObject *object)
{
    uint32_t number = kinds_of(graph->kinds, Py_TYPE(object));
    if (++graph->passed > SCOUTED_REFERENCES * graph->most)
        fail(graph, GRAPH_TOO_MANY);
    if (number == UINT32_MAX ||
        !(kinds_row(graph->kinds, number)->flags & (KIND_LEAF | KIND_FIXED))) {
        graph->alike = 0;
        return 1;
    }
    if (++graph->alike <= MOST_ALIKE)
        return 0;
    graph->shortened++;
    return -1;
}

int graph_refer(PyObject *object, void *arg)
{
    Graph *graph = arg;
    if (object == Py_None || object == graph->own_class)
        return 0;
    if (graph->per_node && ++graph->referred > graph->per_node) {
        graph->shortened++;
        return 1;
    }
    int worth = graph->scouting ? is_worth_a_look(graph, object) : 1;
    if (worth <= 0)
        return worth < 0 || graph->state != GRAPH_WHOLE;
    if (graph->task && is_cut_here(graph, object))
        return 0;
    ShadowPlace place = shadow_locate(&graph->shadow, object);
    if (place == SHADOW_NONE)
        return fail(graph, GRAPH_NO_MEMORY), 1;
    __builtin_prefetch(object);
    shadow_prefetch(&graph->shadow, place);
    ask_for(graph, object, place);
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
    if (bytes > buffer->bytes) {
        buffer->bytes = bytes;
        graph_resize(graph, buffer->node, bytes);
    }
    if (owner != NO_NODE)
        buffer->owner = owner;
    buffer->lent |= (uint32_t)lent;
    buffer->seen |= (uint32_t)!lent;
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
    if (parts == NULL && !graph->below_garbage && (number < graph->missed.room ||
                          table_grow(&graph->missed, (size_t)number + 1) == 0))
        ((uint64_t *)graph->missed.rows)[number]++;
}

/* Nobody asked what it keeps, so it may keep all that was told of its class: memory that one of
   them was told to keep is then not promised to that one alone. Beyond the first, by way of it. */
static void refer_to_likely(Graph *graph, uint32_t node)
{
    uint32_t number = ((uint32_t *)graph->kind_of.rows)[node];
    const Parts *likely = graph->named ? parts_of(graph, graph_kind(graph, node)->type) : NULL;
    if (likely == NULL || (number >= graph->first_missed.room &&
                           table_grow(&graph->first_missed, (size_t)number + 1)))
        return;
    uint32_t *first = (uint32_t *)graph->first_missed.rows + number;
    if (*first) {
        graph_link(graph, *first - 1);
        return;
    }
    *first = node + 1;
    for (uint64_t at = 0; at < likely->buffer_count; at++)
        graph_buffer(graph, likely->buffers[2 * at], likely->buffers[2 * at + 1], NO_NODE, 1);
}

static void refer_to_parts(Graph *graph, uint32_t node)
{
    const Parts *parts = parts_of(graph, graph_object(graph, node));
    note_opaque(graph, node, parts);
    if (parts == NULL) {
        refer_to_likely(graph, node);
        return;
    }
    if (parts->size)
        graph_resize(graph, node, (parts->size + 15) & ~UINT64_C(15));
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

/* Returns the class of a kind where the walk is cut at it: none of its objects needs to tell. */
static const void *own_class(const Graph *graph, Kind *kind)
{
    if (!kind->is_cut) {
        uint32_t found = shadow_find(&graph->shadow, kind->type);
        if (!found)
            return NULL;
        kind->is_cut = found == CUT ? 1 : -1;
    }
    return kind->is_cut > 0 ? kind->type : NULL;
}

/* Whether the collector leaves an object out: then nobody has ever called its traversal, which may
   be broken. A copy can do that; looking around in the process itself must not. */
static int is_untried(const Kind *kind, const void *object)
{
    return kind->features & Py_TPFLAGS_HAVE_GC && layout_word(object, -16) == 0 &&
           !(kind->features & (Py_TPFLAGS_TUPLE_SUBCLASS | Py_TPFLAGS_DICT_SUBCLASS));
}

/* Ordinary objects: what others refer to may still be on its way. */
static void refer_to_all(Graph *graph, const Kind *kind, const void *object)
{
    if (graph_traversable(kind, object) && !(graph->per_node && is_untried(kind, object)))
        kind->traverse((PyObject *)object, graph_refer, graph);
    layout_untold(kind, object, graph_refer, graph);
}

static void expand_one(Graph *graph, uint32_t node)
{
    const Kind kind = *graph_kind(graph, node);
    const void *object = graph_object(graph, node);
    graph->node = node;
    graph->task = kind.flags & KIND_TASK;
    graph->referred = graph->alike = 0;
    if (kind.flags & KIND_BUFFER) {
        for (int at = 0; at < BUFFER_EDGES; at++)
            ask_for(graph, &no_edge, SHADOW_NONE);
    } else if (!(kind.flags & (KIND_LEAF | KIND_FIXED)) && !is_wakeup(graph, &kind, object)) {
        graph->own_class = own_class(graph, graph_kind(graph, node));
        if (kind.flags & (KIND_ARRAY | KIND_OPAQUE))
            graph_refer_now(graph);
        if (kind.flags & KIND_ARRAY)
            arrays_refer(graph, node, object);
        if (kind.flags & KIND_OPAQUE)
            refer_to_parts(graph, node);
        refer_to_all(graph, &kind, object);
    }
    ask_for(graph, &end_of_node, SHADOW_NONE);
    graph->task = 0;
}

void graph_expanded(Graph *graph)
{
    size_t next = ++graph->expanded;
    ((uint32_t *)graph->starts.rows)[next] = (uint32_t)graph->edges.used;
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
    graph->reading = graph->expanded;
    while (graph->expanded < graph->objects.used && graph->state == GRAPH_WHOLE) {
        size_t node = graph->reading;
        if (node == graph->objects.used) {
            graph_refer_now(graph);
            continue;
        }
        if (!(node & CHECK_EVERY) && graph_out_of_time(graph))
            return;
        if (node + AHEAD < graph->objects.used)
            __builtin_prefetch(graph_object(graph, (uint32_t)(node + AHEAD)));
        graph->reading++;
        expand_one(graph, (uint32_t)node);
    }
}

size_t graph_in_place(const Graph *graph, uint32_t *nodes, size_t count)
{
    size_t cursor = 0, found = 0;
    uint32_t number;
    while ((number = shadow_next(&graph->shadow, &cursor)) != 0)
        if (number != CUT && number - 1 < count && found < count)
            nodes[found++] = number - 1;
    const Buffer *buffers = graph->buffers.rows;
    for (size_t at = 0; at < graph->buffers.used; at++)
        if (buffers[at].node < count && found < count)
            nodes[found++] = buffers[at].node;
    return found;
}
