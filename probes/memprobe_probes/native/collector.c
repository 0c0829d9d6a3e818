#include "collector.h"

#include <string.h>

#include "layout.h"

enum { LINKS = 16, GENERATION = 24, YOUNGEST_POINTER = 72, FROZEN = 80, HEADS = 4 };

static const char *heads[HEADS];

static const char *next_of(const char *links)
{
    return (const char *)(layout_word(links, 0) & ~(uintptr_t)3);
}

int collector_prepare(void)
{
    heads[0] = NULL;
    for (int attempt = 0; attempt < 3 && heads[0] == NULL; attempt++) {
        PyObject *youngest = PyList_New(0);
        if (youngest == NULL) {
            PyErr_Clear();
            return -1;
        }
        const char *head = next_of((const char *)youngest - LINKS);
        if (head != NULL && layout_word(head, YOUNGEST_POINTER) == (uintptr_t)head)
            heads[0] = head;
        Py_DECREF(youngest);
    }
    if (heads[0] == NULL)
        return -1;
    heads[1] = heads[0] + GENERATION;
    heads[2] = heads[0] + 2 * GENERATION;
    heads[3] = heads[0] + FROZEN;
    for (int at = 0; at < HEADS; at++)
        if ((layout_word(next_of(heads[at]), 8) & ~(uintptr_t)3) != (uintptr_t)heads[at])
            return heads[0] = NULL, -1;
    return 0;
}

static int adopt_tracked(Graph *graph, Garbage *garbage)
{
    for (int at = 0; at < HEADS; at++) {
        size_t seen = 0;
        garbage->frozen_first = graph_nodes(graph); /* the last list is theirs */
        for (const char *links = next_of(heads[at]); links != heads[at]; links = next_of(links)) {
            if (links == NULL || (!(++seen & 4095) && graph_out_of_time(graph)))
                return -1;
            __builtin_prefetch(next_of(links));
            graph_adopt(graph, links + LINKS);
            if (graph->state != GRAPH_WHOLE)
                return -1;
        }
    }
    return 0;
}

static int refer_if_known(PyObject *object, void *arg)
{
    Graph *graph = arg;
    uint32_t node = graph_find(graph, object);
    if (node != NO_NODE)
        graph_link(graph, node);
    return graph->state != GRAPH_WHOLE;
}

static void link_tracked(Graph *graph, size_t first)
{
    while (graph->expanded < graph->objects.used && graph->state == GRAPH_WHOLE) {
        uint32_t node = (uint32_t)graph->expanded;
        const Kind kind = *graph_kind(graph, node);
        const void *object = graph_object(graph, node);
        if (!(node & 4095) && graph_out_of_time(graph))
            return;
        if (graph_traversable(&kind, object))
            kind.traverse((PyObject *)object, refer_if_known, graph);
        for (uint64_t at = graph_start(graph, node); at < graph->edges.used; at++)
            if (*graph_edge(graph, at) >= first)
                graph_met(graph, *graph_edge(graph, at));
        graph_expanded(graph);
    }
}

enum { DEAD, ALIVE, FROZEN_DEAD }; /* the last: dead, and kept by what is frozen */

/* Marks `node` and what it reaches among the dead. */
static void mark_below(Graph *graph, size_t first, uint32_t node, uint8_t *marks, uint8_t mark,
                       Table *pending)
{
    marks[node - first] = mark;
    ((uint32_t *)pending->rows)[pending->used++] = node;
    while (pending->used) {
        uint32_t above = ((uint32_t *)pending->rows)[--pending->used];
        uint64_t end = graph_start(graph, above + 1);
        for (uint64_t at = graph_start(graph, above); at < end; at++) {
            uint32_t below = *graph_edge(graph, at);
            if (below < first || marks[below - first] != DEAD)
                continue;
            marks[below - first] = mark;
            ((uint32_t *)pending->rows)[pending->used++] = below;
        }
    }
}

/* Marks what is alive: held by something that is not tracked, or reached from that. */
static void mark_alive(Graph *graph, size_t first, uint8_t *marks, Table *pending)
{
    for (size_t node = first; node < graph->objects.used; node++)
        if (marks[node - first] == DEAD && *graph_unmet(graph, (uint32_t)node) > 0)
            mark_below(graph, first, (uint32_t)node, marks, ALIVE, pending);
}

/* Marks the dead that no collection frees: it does not come to what is frozen. */
static void mark_frozen(Graph *graph, const Garbage *garbage, uint8_t *marks, Table *pending)
{
    for (size_t node = garbage->frozen_first; node < garbage->tracked_end; node++)
        if (marks[node - garbage->first] == DEAD)
            mark_below(graph, garbage->first, (uint32_t)node, marks, FROZEN_DEAD, pending);
}

static void credit_one(Graph *graph, Garbage *garbage, uint32_t node)
{
    graph_met(graph, node);
    if (garbage->credits.rows == NULL && table_open(&garbage->credits, 4, garbage->first))
        return;
    ((uint32_t *)garbage->credits.rows)[node]++;
}

/* Lists the nodes with one of the marks, and credits the references that they have. */
static void credit(Graph *graph, Garbage *garbage, const uint8_t *marks, uint8_t mark)
{
    for (size_t node = garbage->first; node < garbage->tracked_end; node++) {
        if (marks[node - garbage->first] != mark || table_make_room(&garbage->dead, 1))
            continue;
        ((uint32_t *)garbage->dead.rows)[garbage->dead.used++] = (uint32_t)node;
        uint64_t end = graph_start(graph, (uint32_t)node + 1);
        for (uint64_t at = graph_start(graph, (uint32_t)node); at < end; at++)
            if (*graph_edge(graph, at) < garbage->first)
                credit_one(graph, garbage, *graph_edge(graph, at));
    }
}

static int reach_below(PyObject *object, void *arg)
{
    Graph *graph = arg;
    uint32_t node = graph_find(graph, object);
    if (node == NO_NODE)
        node = graph_add(graph, object, graph->node);
    /* Tracked objects have their references counted already. */
    if (node != NO_NODE && node >= graph->node)
        graph_met(graph, node);
    return graph->state != GRAPH_WHOLE;
}

/* Walks to what the dead from row `at` on keep and nobody tracks: texts, arrays and their data. */
static void descend(Graph *graph, Garbage *garbage, size_t at)
{
    for (; at < garbage->dead.used && graph->state == GRAPH_WHOLE; at++) {
        uint32_t node = ((uint32_t *)garbage->dead.rows)[at];
        const Kind kind = *graph_kind(graph, node);
        const void *object = graph_object(graph, node);
        graph->node = (uint32_t)garbage->tracked_end;
        if (graph_traversable(&kind, object))
            kind.traverse((PyObject *)object, reach_below, graph);
    }
    graph->below_garbage = 1;
    graph_expand(graph);
    graph->below_garbage = 0;
}

/* Whether only garbage keeps a node below it; a buffer goes with the object that it belongs to. */
static int goes(Graph *graph, const Garbage *garbage, uint32_t node)
{
    if (graph_kind(graph, node)->flags & KIND_BUFFER) {
        uint32_t owner = graph_parent(graph, node);
        return owner < garbage->tracked_end || owner >= node || goes(graph, garbage, owner);
    }
    return *graph_unmet(graph, node) <= 0;
}

/* Adds to the dead what goes with them. */
static void adopt_below(Graph *graph, Garbage *garbage)
{
    for (size_t node = garbage->tracked_end; node < graph->expanded; node++)
        if (goes(graph, garbage, (uint32_t)node) && table_make_room(&garbage->dead, 1) == 0)
            ((uint32_t *)garbage->dead.rows)[garbage->dead.used++] = (uint32_t)node;
}

static uint64_t bytes_of(const Graph *graph, const Garbage *garbage)
{
    uint64_t total = 0;
    for (size_t at = 0; at < garbage->dead.used; at++)
        total += graph_size(graph, ((uint32_t *)garbage->dead.rows)[at]);
    return total;
}

/* Lists the dead and what they keep; first the frozen alone, for their bytes. */
static void find_dead(Graph *graph, Garbage *garbage, const uint8_t *marks)
{
    credit(graph, garbage, marks, FROZEN_DEAD);
    size_t frozen = garbage->dead.used;
    descend(graph, garbage, 0);
    adopt_below(graph, garbage);
    garbage->frozen_bytes = bytes_of(graph, garbage);
    garbage->dead.used = frozen;
    credit(graph, garbage, marks, DEAD);
    descend(graph, garbage, frozen);
    adopt_below(graph, garbage);
    garbage->bytes = bytes_of(graph, garbage);
    garbage->objects = garbage->dead.used;
}

void collector_look(Graph *graph, Garbage *garbage)
{
    Table marks = {0}, pending = {0};
    memset(garbage, 0, sizeof *garbage);
    garbage->first = graph_nodes(graph);
    if (heads[0] == NULL || table_open(&garbage->dead, 4, 4096))
        return;
    if (adopt_tracked(graph, garbage) == 0)
        link_tracked(graph, garbage->first);
    garbage->tracked_end = graph_nodes(graph);
    size_t count = garbage->tracked_end - garbage->first + 1;
    if (graph->state == GRAPH_WHOLE && graph->expanded == garbage->tracked_end &&
        table_open(&marks, 1, count) == 0 && table_open(&pending, 4, count) == 0) {
        mark_alive(graph, garbage->first, marks.rows, &pending);
        mark_frozen(graph, garbage, marks.rows, &pending);
        find_dead(graph, garbage, marks.rows);
        garbage->known = graph->state == GRAPH_WHOLE;
    }
    graph->state = GRAPH_WHOLE; /* without an answer here the walk itself is as good as before */
    table_close(&marks);
    table_close(&pending);
}

void collector_close(Garbage *garbage)
{
    table_close(&garbage->dead);
    table_close(&garbage->credits);
}
