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

static int adopt_tracked(Graph *graph)
{
    for (int at = 0; at < HEADS; at++) {
        size_t seen = 0;
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

/* Marks what is alive: held by something that is not tracked, or reached from that. */
static void mark_alive(Graph *graph, size_t first, uint8_t *alive, Table *pending)
{
    for (size_t node = first; node < graph->objects.used; node++) {
        if (alive[node - first] || *graph_unmet(graph, (uint32_t)node) <= 0)
            continue;
        alive[node - first] = 1;
        ((uint32_t *)pending->rows)[pending->used++] = (uint32_t)node;
        while (pending->used) {
            uint32_t above = ((uint32_t *)pending->rows)[--pending->used];
            uint64_t end = graph_start(graph, above + 1);
            for (uint64_t at = graph_start(graph, above); at < end; at++) {
                uint32_t below = *graph_edge(graph, at);
                if (below < first || alive[below - first])
                    continue;
                alive[below - first] = 1;
                ((uint32_t *)pending->rows)[pending->used++] = below;
            }
        }
    }
}

static void credit_one(Graph *graph, Garbage *garbage, uint32_t node)
{
    graph_met(graph, node);
    if (garbage->credits.rows == NULL && table_open(&garbage->credits, 4, garbage->first))
        return;
    ((uint32_t *)garbage->credits.rows)[node]++;
}

static void credit(Graph *graph, Garbage *garbage, const uint8_t *alive)
{
    for (size_t node = garbage->first; node < garbage->tracked_end; node++) {
        if (alive[node - garbage->first] || table_make_room(&garbage->dead, 1))
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

/* Adds what only the garbage keeps: texts, arrays and their data. */
static void descend(Graph *graph, Garbage *garbage)
{
    size_t dead = garbage->dead.used;
    for (size_t at = 0; at < dead && graph->state == GRAPH_WHOLE; at++) {
        uint32_t node = ((uint32_t *)garbage->dead.rows)[at];
        const Kind kind = *graph_kind(graph, node);
        const void *object = graph_object(graph, node);
        graph->node = (uint32_t)garbage->tracked_end;
        if (graph_traversable(&kind, object))
            kind.traverse((PyObject *)object, reach_below, graph);
    }
    graph_expand(graph);
    for (size_t node = garbage->tracked_end; node < graph->expanded; node++) {
        int native = graph_kind(graph, (uint32_t)node)->flags & KIND_BUFFER;
        if ((native || *graph_unmet(graph, (uint32_t)node) <= 0) &&
            table_make_room(&garbage->dead, 1) == 0)
            ((uint32_t *)garbage->dead.rows)[garbage->dead.used++] = (uint32_t)node;
    }
}

static void add_up(const Graph *graph, Garbage *garbage)
{
    for (size_t at = 0; at < garbage->dead.used; at++)
        garbage->bytes += *graph_size(graph, ((uint32_t *)garbage->dead.rows)[at]);
    garbage->objects = garbage->dead.used;
}

void collector_look(Graph *graph, Garbage *garbage)
{
    Table alive = {0}, pending = {0};
    memset(garbage, 0, sizeof *garbage);
    garbage->first = graph_nodes(graph);
    if (heads[0] == NULL || table_open(&garbage->dead, 4, 4096))
        return;
    if (adopt_tracked(graph) == 0)
        link_tracked(graph, garbage->first);
    garbage->tracked_end = graph_nodes(graph);
    size_t count = garbage->tracked_end - garbage->first + 1;
    if (graph->state == GRAPH_WHOLE && graph->expanded == garbage->tracked_end &&
        table_open(&alive, 1, count) == 0 && table_open(&pending, 4, count) == 0) {
        mark_alive(graph, garbage->first, alive.rows, &pending);
        credit(graph, garbage, alive.rows);
        descend(graph, garbage);
        add_up(graph, garbage);
        garbage->known = graph->state == GRAPH_WHOLE;
    }
    graph->state = GRAPH_WHOLE; /* without an answer here the walk itself is as good as before */
    table_close(&alive);
    table_close(&pending);
}

void collector_close(Garbage *garbage)
{
    table_close(&garbage->dead);
    table_close(&garbage->credits);
}
