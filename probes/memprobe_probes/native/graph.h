/* What named roots reach: objects and native buffers as numbered nodes, references as edges.

   Breadth first, so that the edges of a node lie together and in order. Nothing is increfed, no
   bytecode runs: it is called in a process whose memory stands still. */
#ifndef MEMPROBE_GRAPH_H
#define MEMPROBE_GRAPH_H

#include "kinds.h"
#include "shadow.h"

#define NO_NODE UINT32_MAX

typedef enum { GRAPH_WHOLE = 0, GRAPH_NO_MEMORY = 1, GRAPH_TOO_LONG = 2, GRAPH_TOO_MANY = 3 } State;

typedef struct {
    uint64_t address, bytes; /* from BUFFER_NOWHERE on the address is not known */
    uint32_t node, owner;    /* owner: node of the array that owns it, else NO_NODE */
    uint32_t lent;           /* somebody else's memory may be behind it */
    uint32_t seen;           /* arrays show it, wholly or in part */
} Buffer;
#define BUFFER_NOWHERE (UINT64_C(1) << 62)
enum { BUFFER_EDGES = 2, LEAST_BUFFER = 64 };

/* What an adapter told of one object beforehand. */
typedef struct {
    const void *object;
    uint64_t size; /* 0: as its kind says */
    const uint64_t *children, *buffers; /* objects; pairs of address and bytes */
    uint64_t child_count, buffer_count;
} Parts;

typedef struct {
    uint64_t elsize, elsize_wide; /* offset in a dtype; whether 8 bytes wide */
    uint64_t flags, flags_wide;
    uint64_t fields; /* offset of the dict of a structured one's fields */
    uint64_t known; /* numpy is there, and its arrays were checked to be as expected */
} ArrayLayout;

/* A reference that was met. Memory is slow: between asking for the object and looking at it others
   are asked for. */
typedef struct {
    const void *object;
    ShadowPlace place;
} Reference;
enum { WAITING = 64 }; /* a power of 2 */

/* The bytes of one node, where they do not fit into 32 bits. */
typedef struct {
    uint32_t node;
    uint64_t bytes;
} Large;
#define LARGE UINT32_MAX

typedef struct {
    Kinds *kinds;
    Shadow shadow;
    Table objects;   /* const void *: the object, or the address of a buffer */
    Table kind_of;   /* uint32_t */
    Table sizes;     /* uint32_t: bytes, LARGE: in the table of that name */
    Table parents;   /* uint32_t, NO_NODE for a root */
    Table unmet;     /* int32_t: references an object has and that were not met */
    Table starts;    /* uint32_t: where the edges of a node begin, one more than nodes */
    Table edges;     /* uint32_t, NO_NODE: none */
    Table buffers;   /* Buffer */
    Table places;    /* of buffers: uint32_t number + 1, open addressing */
    Table missed;    /* uint64_t per kind: opaque objects nobody was asked about */
    Table first_missed; /* uint32_t per kind: node + 1 of the first of them */
    int named;          /* what is walked now belongs to the roots */
    Table classes;   /* PyTypeObject *: classes met as objects that Python was not asked about */
    Table opaque;    /* uint32_t: opaque nodes */
    Table parts;     /* Parts, sorted by object */
    Table large;     /* Large: the sizes that are; the last one of a node counts */
    Table cuts;      /* pairs of uint64_t: a task, and the future it waits for */
    ArrayLayout arrays;
    size_t expanded; /* nodes whose edges are known */
    size_t most;     /* nodes, at most */
    size_t per_node;   /* references followed of one object, at most; 0: all */
    size_t shortened;  /* objects of which not all were followed */
    int scouting;      /* only what Python may be asked about is looked for */
    size_t passed, alike; /* references that a scout has met; to numbers and texts in a row */
    int below_garbage; /* what waiting garbage keeps: of no holder, so nothing of it is missed */
    uint64_t deadline; /* ns of CLOCK_MONOTONIC, 0: none */
    State state;
    /* while a node is expanded */
    uint32_t node;
    uint32_t task; /* it is a task: its cuts apply */
    const void *own_class; /* the class of the object, where the walk is cut at it */
    size_t referred;
    /* references on their way: read[0, expanded) are edges, of later nodes some wait here */
    Reference waiting[WAITING];
    size_t reading;                 /* the node that is looked at next */
    size_t asked, looked_at, taken; /* of all references so far, how many came how far */
} Graph;

int graph_open(Graph *graph, Kinds *kinds);
void graph_close(Graph *graph);

/* Marks an address as one the walk is cut at. */
int graph_stop(Graph *graph, const void *object);

/* Returns the node of an object, made if it is new; NO_NODE where the walk is cut. */
uint32_t graph_add(Graph *graph, const void *object, uint32_t parent);

/* Returns the new node of an object, wherever the walk would be cut; NO_NODE if it is known. */
uint32_t graph_adopt(Graph *graph, const void *object);

/* Expands breadth first until nothing is left, or the state is not GRAPH_WHOLE any more. */
void graph_expand(Graph *graph);

/* Adds an edge to what a node holds, while the node is expanded; graph_refer_now makes sure that
   all of them are there. */
int graph_refer(PyObject *object, void *graph);
void graph_refer_now(Graph *graph);
void graph_buffer(Graph *graph, uint64_t address, uint64_t bytes, uint32_t owner, int lent);

/* Adds an edge from the node that is expanded now; the node after it is next. */
void graph_link(Graph *graph, uint32_t target);
void graph_expanded(Graph *graph);
int graph_traversable(const Kind *kind, const void *object);
int graph_out_of_time(Graph *graph);

/* Writes the nodes below `count` page by page, as their objects lie in memory; room for `count`.
   Returns how many those are. */
size_t graph_in_place(const Graph *graph, uint32_t *nodes, size_t count);

uint32_t graph_find(const Graph *graph, const void *object);
uint64_t graph_now(void);

static inline size_t graph_nodes(const Graph *graph) { return graph->objects.used; }
static inline const void *graph_object(const Graph *graph, uint32_t node)
{
    return ((const void *const *)graph->objects.rows)[node];
}
static inline Kind *graph_kind(const Graph *graph, uint32_t node)
{
    return kinds_row(graph->kinds, ((uint32_t *)graph->kind_of.rows)[node]);
}
uint64_t graph_large(const Graph *graph, uint32_t node);
static inline uint64_t graph_size(const Graph *graph, uint32_t node)
{
    uint32_t bytes = ((const uint32_t *)graph->sizes.rows)[node];
    return bytes < LARGE ? bytes : graph_large(graph, node);
}
void graph_resize(Graph *graph, uint32_t node, uint64_t bytes);
static inline int32_t *graph_unmet(const Graph *graph, uint32_t node)
{
    return (int32_t *)graph->unmet.rows + node;
}
/* Asks the memory for what is kept of a node. */
static inline void graph_ask_for(const Graph *graph, uint32_t node)
{
    __builtin_prefetch((const void *const *)graph->objects.rows + node);
    __builtin_prefetch((const uint32_t *)graph->kind_of.rows + node);
}
static inline uint32_t graph_parent(const Graph *graph, uint32_t node)
{
    return ((uint32_t *)graph->parents.rows)[node];
}
static inline uint64_t graph_start(const Graph *graph, uint32_t node)
{
    return ((uint32_t *)graph->starts.rows)[node];
}
static inline uint32_t *graph_edge(const Graph *graph, uint64_t at)
{
    return (uint32_t *)graph->edges.rows + at;
}
static inline void graph_met(Graph *graph, uint32_t node)
{
    int32_t *unmet = graph_unmet(graph, node);
    if (*unmet != INT32_MAX)
        --*unmet;
}

#endif
