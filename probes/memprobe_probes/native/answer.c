#include "answer.h"

#include <string.h>

#include "arrays.h"
#include "dominators.h"
#include "layout.h"
#include "returned.h"

enum { MOST_GROUPS = 300, MOST_STEPS = 60, MOST_VIEWS = 20000, MOST_SIMULATED = 48 };
enum { AHEAD = 12 }; /* nodes of which the memory is asked */
enum { MOST_UNPLACED = 20 }; /* a part of the bytes whose place is not known: one of so many */
enum { LEAST_MEMORY = 64 * 1024, LEAST_SMALL = 1024, MOST_BUFFERS = 20000 };
enum { MOST_CHAINED = 8, MOST_TYPES = 40 };

typedef struct {
    uint64_t bytes, objects;
    uint32_t largest, group; /* a node; number of the group's row */
} Sum;

typedef struct {
    const Question *asked;
    Table *words;
    Table sums;   /* Sum per set */
    Table groups; /* uint32_t: the sets told, one row each */
    Table order;  /* uint32_t: nodes by set */
    Table begins; /* uint64_t per set: where its nodes begin in `order` */
    size_t count; /* nodes with a named holder, or that may have one */
    int failed;
} Writer;

static void put(Writer *writer, uint64_t word)
{
    if (table_make_room(writer->words, 1))
        writer->failed = 1;
    else
        ((uint64_t *)writer->words->rows)[writer->words->used++] = word;
}

/* Leaves room for a number that is known later; returns where. */
static size_t put_later(Writer *writer)
{
    put(writer, 0);
    return writer->words->used - 1;
}

static void put_at(Writer *writer, size_t at, uint64_t word)
{
    if (!writer->failed)
        ((uint64_t *)writer->words->rows)[at] = word;
}

static uint64_t type_of(const Graph *graph, uint32_t node)
{
    return (uintptr_t)graph_kind(graph, node)->type;
}

static Sum *sum_of(const Writer *writer, uint32_t set)
{
    return (Sum *)writer->sums.rows + set;
}

static void add_up(Writer *writer)
{
    const Question *asked = writer->asked;
    for (uint32_t node = 0; node < writer->count; node++) {
        uint64_t size = graph_size(asked->graph, node);
        Kind *kind = graph_kind(asked->graph, node);
        Sum *sum = sum_of(writer, owners_set(asked->owners, node));
        kind->count++;
        kind->bytes += size;
        if (sum->objects == 0 || size > graph_size(asked->graph, sum->largest))
            sum->largest = node;
        sum->bytes += size;
        sum->objects++;
    }
}

static void choose_groups(Writer *writer)
{
    const Owners *owners = writer->asked->owners;
    for (uint64_t least = writer->asked->least_group;; least += least / 2 + 1) {
        writer->groups.used = 0;
        for (uint32_t set = 0; set < owners->bits.used; set++) {
            Sum *sum = sum_of(writer, set);
            sum->group = UINT32_MAX;
            if (sum->objects == 0 || sum->bytes < least || !owners_named(owners, set))
                continue;
            if (writer->groups.used < MOST_GROUPS)
                ((uint32_t *)writer->groups.rows)[writer->groups.used] = set;
            sum->group = (uint32_t)writer->groups.used++;
        }
        if (writer->groups.used <= MOST_GROUPS)
            return;
    }
}

/* The way the walk came to a node, from `from` or else from a root. */
static void put_chain(Writer *writer, uint32_t node, uint32_t from)
{
    const Graph *graph = writer->asked->graph;
    uint32_t chain[MOST_STEPS], length = 0;
    for (; node != NO_NODE && length < MOST_STEPS; node = graph_parent(graph, node)) {
        chain[length++] = node;
        if (node == from)
            break;
    }
    put(writer, length);
    while (length-- > 0) {
        put(writer, chain[length]);
        put(writer, (uintptr_t)graph_object(graph, chain[length]));
        put(writer, type_of(graph, chain[length]));
    }
}

/* Nodes by their set, so that what a set keeps can be read off at once; those of a set as they lie
   in memory. */
static int sort_by_set(Writer *writer)
{
    const Owners *owners = writer->asked->owners;
    size_t sets = owners->bits.used;
    Table nodes;
    if (table_open(&nodes, 4, writer->count + 1) ||
        table_open(&writer->order, 4, writer->count + 1) ||
        table_open(&writer->begins, 8, sets + 2))
        return -1;
    uint64_t *begins = writer->begins.rows;
    for (uint32_t node = 0; node < writer->count; node++)
        begins[owners_set(owners, node) + 2]++;
    for (size_t set = 2; set < sets + 2; set++)
        begins[set] += begins[set - 1];
    nodes.used = graph_in_place(writer->asked->graph, nodes.rows, writer->count);
    for (size_t at = 0; at < nodes.used; at++) {
        uint32_t node = ((uint32_t *)nodes.rows)[at];
        ((uint32_t *)writer->order.rows)[begins[owners_set(owners, node) + 1]++] = node;
    }
    table_close(&nodes);
    return 0;
}

static void tell_block(void *arg, const void *start, size_t bytes)
{
    returned_malloc(arg, start, bytes);
}

/* Returns the bytes of a node whose place is not known: nothing can be simulated with them. */
static uint64_t free_node(const Graph *graph, Returned *returned, uint32_t node)
{
    const Kind *kind = graph_kind(graph, node);
    const void *object = graph_object(graph, node);
    if (kind->flags & KIND_BUFFER) {
        uint64_t bytes = graph_size(graph, node);
        if ((uintptr_t)object >= BUFFER_NOWHERE)
            return bytes;
        if (bytes)
            returned_malloc(returned, object, bytes);
        return 0;
    }
    if (kind->flags & KIND_FIXED)
        return graph_size(graph, node);
    returned_block(returned, (const char *)object - kind->preheader);
    if (kind->flags & KIND_ARRAY)
        arrays_blocks(graph, object, tell_block, returned);
    return kind->sizer == SIZE_SHELL ? 0 : layout_blocks(kind, object, tell_block, returned);
}

/* Asks the memory for the nodes to come: what is kept of one, then the object, then what it has. */
static void ask_ahead(const Graph *graph, const uint32_t *nodes, size_t left)
{
    if (left > 3 * AHEAD)
        graph_ask_for(graph, nodes[3 * AHEAD]);
    if (left > 2 * AHEAD)
        __builtin_prefetch(graph_object(graph, nodes[2 * AHEAD]));
    if (left > AHEAD)
        layout_ask_for(graph_kind(graph, nodes[AHEAD]), graph_object(graph, nodes[AHEAD]));
}

static uint64_t free_all(const Graph *graph, Returned *returned, const uint32_t *nodes, size_t count)
{
    uint64_t unplaced = 0;
    for (size_t at = 0; at < count; at++) {
        ask_ahead(graph, nodes + at, count - at);
        unplaced += free_node(graph, returned, nodes[at]);
    }
    return unplaced;
}

/* What goes back to the system when everybody in `set` lets go. Bytes whose place is not known are
   taken to go back; where they are many, nothing is told. */
static void simulate(Writer *writer, Returned *returned, uint32_t set)
{
    const Owners *owners = writer->asked->owners;
    const uint64_t *begins = writer->begins.rows;
    uint64_t trimmed, untrimmed, freed = 0, unplaced = 0;
    returned_reset(returned);
    for (uint32_t other = 1; other < owners->bits.used; other++) {
        if (sum_of(writer, other)->objects == 0 || !owners_within(owners, other, set))
            continue;
        freed += sum_of(writer, other)->bytes;
        unplaced += free_all(writer->asked->graph, returned,
                             (const uint32_t *)writer->order.rows + begins[other],
                             begins[other + 1] - begins[other]);
    }
    returned_result(returned, &trimmed, &untrimmed);
    int told = unplaced <= freed / MOST_UNPLACED;
    put(writer, told ? trimmed + unplaced : ANSWER_NONE);
    put(writer, told ? untrimmed + unplaced : ANSWER_NONE);
}

static int heavier(const Writer *writer, uint32_t one, uint32_t other)
{
    return sum_of(writer, one)->bytes > sum_of(writer, other)->bytes;
}

static void order_groups(Writer *writer)
{
    uint32_t *sets = writer->groups.rows;
    for (size_t at = 1; at < writer->groups.used; at++)
        for (size_t to = at; to > 0 && heavier(writer, sets[to], sets[to - 1]); to--) {
            uint32_t kept = sets[to];
            sets[to] = sets[to - 1];
            sets[to - 1] = kept;
        }
    for (size_t at = 0; at < writer->groups.used; at++)
        sum_of(writer, sets[at])->group = (uint32_t)at;
}

static void put_groups(Writer *writer)
{
    const Question *asked = writer->asked;
    Returned *returned = asked->simulate && sort_by_set(writer) == 0 ? returned_open() : NULL;
    size_t simulated = 0;
    put(writer, writer->groups.used);
    for (size_t at = 0; at < writer->groups.used; at++) {
        uint32_t set = ((uint32_t *)writer->groups.rows)[at];
        Sum *sum = sum_of(writer, set);
        for (size_t word = 0; word < asked->owners->words; word++)
            put(writer, owners_bits(asked->owners, set)[word]);
        put(writer, sum->bytes);
        put(writer, sum->objects);
        if (returned && !owners_unnamed(asked->owners, set) && simulated++ < MOST_SIMULATED) {
            simulate(writer, returned, set);
        } else {
            put(writer, ANSWER_NONE);
            put(writer, ANSWER_NONE);
        }
        put_chain(writer, sum->largest, NO_NODE);
    }
    if (returned)
        returned_close(returned);
}

static void put_types(Writer *writer)
{
    Kinds *kinds = writer->asked->graph->kinds;
    size_t at = put_later(writer), told = 0;
    for (uint32_t number = 0; number < kinds->rows.used; number++) {
        Kind *kind = kinds_row(kinds, number);
        if (kind->count == 0)
            continue;
        kind->flags |= KIND_TOLD;
        put(writer, (uintptr_t)kind->type);
        put(writer, kind->count);
        put(writer, kind->bytes);
        told++;
    }
    put_at(writer, at, told);
}

static void put_garbage(Writer *writer)
{
    const Question *asked = writer->asked;
    const Kinds *kinds = asked->graph->kinds;
    for (uint32_t number = 0; number < kinds->rows.used; number++)
        kinds_row(kinds, number)->count = kinds_row(kinds, number)->bytes = 0;
    for (size_t at = 0; at < asked->garbage->dead.used; at++) {
        uint32_t node = ((uint32_t *)asked->garbage->dead.rows)[at];
        graph_kind(asked->graph, node)->count++;
        graph_kind(asked->graph, node)->bytes += graph_size(asked->graph, node);
    }
    put_types(writer);
}

static int32_t references(const Writer *writer, uint32_t node)
{
    const Question *asked = writer->asked;
    const void *object = graph_object(asked->graph, node);
    int32_t found = layout_references(object);
    for (size_t at = 0; at < asked->held_count; at++)
        found -= asked->held[at] == object;
    if (asked->garbage->credits.rows != NULL)
        found -= (int32_t)((uint32_t *)asked->garbage->credits.rows)[node];
    return found;
}

static uint32_t base_of(const Graph *graph, uint32_t node)
{
    const Kind *kind = graph_kind(graph, node);
    if (kind->flags & KIND_ARRAY && graph->arrays.known) {
        const void *base = arrays_base(graph_object(graph, node));
        return base == NULL ? NO_NODE : graph_find(graph, base);
    }
    if (kind->flags & KIND_VIEW && graph_start(graph, node) < graph_start(graph, node + 1))
        return *graph_edge(graph, graph_start(graph, node + 1) - 1); /* the last one */
    return NO_NODE;
}

static uint64_t own_memory(const Graph *graph, uint32_t node)
{
    uint64_t total = graph_kind(graph, node)->flags & KIND_KNOWN_BASE ? graph_size(graph, node) : 0;
    for (uint64_t at = graph_start(graph, node); at < graph_start(graph, node + 1); at++) {
        uint32_t below = *graph_edge(graph, at);
        if (below != NO_NODE && graph_kind(graph, below)->flags & KIND_BUFFER)
            total += graph_size(graph, below);
        if (at - graph_start(graph, node) > 64)
            break;
    }
    return total;
}

/* Returns the bytes of the memory below a view. */
static uint64_t shown_of(const Graph *graph, uint32_t base)
{
    uint64_t found = 0;
    for (int step = 0; step < MOST_CHAINED && base != NO_NODE; step++) {
        uint64_t own = own_memory(graph, base);
        found = own > found ? own : found;
        base = base_of(graph, base);
    }
    return found;
}

static uint64_t group_of(const Writer *writer, uint32_t node)
{
    uint32_t group = sum_of(writer, owners_set(writer->asked->owners, node))->group;
    return group == UINT32_MAX ? ANSWER_NONE : group;
}

static void put_view(Writer *writer, uint32_t node, uint32_t base)
{
    const Graph *graph = writer->asked->graph;
    uint64_t low = 0, high = 0, bytes = ANSWER_NONE;
    if (graph_kind(graph, node)->flags & KIND_ARRAY)
        bytes = arrays_extent(graph, graph_object(graph, node), &low, &high);
    else if (graph_kind(graph, node)->type == &PyMemoryView_Type)
        bytes = layout_memoryview(graph_object(graph, node));
    put(writer, node);
    put(writer, (uintptr_t)graph_object(graph, node));
    put(writer, base);
    put(writer, low);
    put(writer, high);
    put(writer, bytes);
    put(writer, (uint64_t)(int64_t)references(writer, node));
    put(writer, (uint64_t)(int64_t)references(writer, base));
    put(writer, graph_kind(graph, base)->flags & KIND_KNOWN_BASE ? graph_size(graph, base)
                                                                : ANSWER_NONE);
    put(writer, group_of(writer, base));
}

/* Tells the views of memory of `least` to `most` bytes. Returns how many have been told by now. */
static size_t put_views_of(Writer *writer, uint64_t least, uint64_t most, size_t told)
{
    const Graph *graph = writer->asked->graph;
    for (uint32_t node = 0; node < writer->count && told < MOST_VIEWS; node++) {
        if (!(graph_kind(graph, node)->flags & (KIND_ARRAY | KIND_VIEW)))
            continue;
        uint32_t base = base_of(graph, node);
        uint64_t shown = base < writer->count ? shown_of(graph, base) : 0;
        if (shown < least || shown >= most)
            continue;
        put_view(writer, node, base);
        told++;
    }
    return told;
}

/* Those of much memory first: where there are too many, small ones are left out. */
static void put_views(Writer *writer)
{
    size_t at = put_later(writer);
    size_t told = put_views_of(writer, LEAST_MEMORY, UINT64_MAX, 0);
    put_at(writer, at, put_views_of(writer, LEAST_SMALL, LEAST_MEMORY, told));
}

static void put_buffer(Writer *writer, const Buffer *buffer)
{
    put(writer, buffer->node);
    put(writer, buffer->address);
    put(writer, graph_size(writer->asked->graph, buffer->node));
    put(writer, buffer->owner == NO_NODE ? ANSWER_NONE : buffer->owner);
    put(writer, group_of(writer, buffer->node));
    put(writer, buffer->seen);
}

/* All large ones, and of the small ones those that arrays own. */
static void put_buffers(Writer *writer)
{
    const Graph *graph = writer->asked->graph;
    const Buffer *rows = graph->buffers.rows;
    size_t at = put_later(writer), told = 0, small = 0;
    for (size_t row = 0; row < graph->buffers.used; row++) {
        int large = rows[row].bytes >= LEAST_MEMORY;
        if (rows[row].node >= writer->count || rows[row].bytes < LEAST_SMALL ||
            (!large && (rows[row].owner == NO_NODE || small++ >= MOST_BUFFERS)))
            continue;
        put_buffer(writer, rows + row);
        told++;
    }
    put_at(writer, at, told);
}

static void put_missed(Writer *writer)
{
    const Graph *graph = writer->asked->graph;
    size_t at = put_later(writer), told = 0;
    for (uint32_t number = 0; number < graph->kinds->rows.used; number++) {
        if (number >= graph->missed.room || !((uint64_t *)graph->missed.rows)[number])
            continue;
        put(writer, (uintptr_t)kinds_row(graph->kinds, number)->type);
        put(writer, ((uint64_t *)graph->missed.rows)[number]);
        told++;
    }
    put_at(writer, at, told);
}

static void put_unknown(Writer *writer)
{
    const Kinds *kinds = writer->asked->graph->kinds;
    size_t at = put_later(writer), told = 0;
    for (uint32_t number = 0; number < kinds->rows.used; number++)
        if (!(~kinds_row(kinds, number)->flags & (KIND_UNKNOWN | KIND_TOLD))) {
            put(writer, (uintptr_t)kinds_row(kinds, number)->type);
            told++;
        }
    put_at(writer, at, told);
}

/* Marks what is reached from `top` with nobody but one holder, not going through `without`. */
static int reach(const Writer *writer, uint32_t top, uint32_t without, uint32_t set, uint8_t *seen,
                 uint8_t mark, Table *pending)
{
    const Graph *graph = writer->asked->graph;
    pending->used = 0;
    seen[top] |= mark;
    ((uint32_t *)pending->rows)[pending->used++] = top;
    while (pending->used) {
        uint32_t node = ((uint32_t *)pending->rows)[--pending->used];
        for (uint64_t at = graph_start(graph, node); at < graph_start(graph, node + 1); at++) {
            uint32_t below = *graph_edge(graph, at);
            if (below >= writer->count || below == without || seen[below] & mark ||
                owners_set(writer->asked->owners, below) != set)
                continue;
            if (table_make_room(pending, 1))
                return -1;
            seen[below] |= mark;
            ((uint32_t *)pending->rows)[pending->used++] = below;
        }
    }
    return 0;
}

static uint64_t kept_by(const Writer *writer, const Asked *one)
{
    const Question *asked = writer->asked;
    uint32_t part = graph_find(asked->graph, (const void *)(uintptr_t)one->object);
    uint32_t top = asked->root_nodes[one->root];
    Table seen = {0}, pending = {0};
    uint64_t total = ANSWER_NONE;
    if (part >= writer->count || top >= writer->count)
        return total;
    uint32_t set = owners_set(asked->owners, top);
    if (owners_set(asked->owners, part) != set)
        return 0;
    if (table_open(&seen, 1, writer->count) == 0 && table_open(&pending, 4, 4096) == 0 &&
        reach(writer, part, NO_NODE, set, seen.rows, 1, &pending) == 0 &&
        reach(writer, top, part, set, seen.rows, 2, &pending) == 0) {
        total = 0;
        for (uint32_t node = 0; node < writer->count; node++)
            if (((uint8_t *)seen.rows)[node] == 1)
                total += graph_size(asked->graph, node);
    }
    table_close(&seen);
    table_close(&pending);
    return total;
}

static void put_inner(Writer *writer, const Inner *rows, const Inner *row)
{
    const Graph *graph = writer->asked->graph;
    put(writer, row->parent == NO_NODE ? ANSWER_NONE : row->parent);
    put(writer, (uintptr_t)kinds_row(graph->kinds, row->kind)->type);
    put(writer, row->count);
    put(writer, row->own);
    put(writer, row->kept);
    put(writer, row->objects);
    if (row->node == NO_NODE || row->parent == NO_NODE)
        put(writer, 0);
    else /* every way to it leads through what keeps it */
        put_chain(writer, row->node, rows[row->parent].node);
}

static void put_inside(Writer *writer, uint64_t root)
{
    const Question *asked = writer->asked;
    uint32_t top = root < asked->root_count ? asked->root_nodes[root] : NO_NODE;
    Table rows = {0};
    if (top >= writer->count || dominators_find(asked->graph, asked->owners, top, writer->count,
                                                asked->least_group, &rows))
        rows.used = 0;
    put(writer, root);
    put(writer, rows.used);
    for (size_t at = 0; at < rows.used; at++)
        put_inner(writer, rows.rows, (Inner *)rows.rows + at);
    table_close(&rows);
}

static void put_header(Writer *writer)
{
    const Question *asked = writer->asked;
    const Graph *graph = asked->graph;
    put(writer, ANSWER_MAGIC);
    put(writer, graph->state);
    put(writer, writer->count);
    put(writer, writer->count ? graph_start(graph, (uint32_t)writer->count) : 0);
    put(writer, graph_nodes(graph));
    put(writer, asked->walked - asked->started);
    put(writer, graph_now() - asked->started);
    put(writer, memory_in_use());
    put(writer, (uint64_t)asked->garbage->known);
    put(writer, asked->garbage->bytes);
    put(writer, asked->garbage->objects);
    put(writer, asked->garbage->frozen_bytes);
    put(writer, asked->root_count);
    put(writer, asked->owners->words);
    for (uint32_t root = 0; root < asked->root_count; root++) {
        uint32_t node = asked->root_nodes[root];
        put(writer, node == NO_NODE ? ANSWER_NONE : node);
        put(writer, (uintptr_t)asked->roots[root]);
        put(writer, node == NO_NODE ? 0 : type_of(graph, node));
    }
}

int answer(const Question *question, Table *words)
{
    Writer writer = {.asked = question, .words = words, .count = question->garbage->first};
    if (table_open(&writer.sums, sizeof(Sum), question->owners->bits.used + 1) ||
        table_open(&writer.groups, 4, MOST_GROUPS + 1))
        return -1;
    add_up(&writer);
    choose_groups(&writer);
    order_groups(&writer);
    put_header(&writer);
    put_types(&writer);
    put_garbage(&writer);
    put_groups(&writer);
    put_views(&writer);
    put_buffers(&writer);
    put_missed(&writer);
    put_unknown(&writer);
    put(&writer, question->asked_count);
    for (size_t at = 0; at < question->asked_count; at++)
        put(&writer, kept_by(&writer, question->asked + at));
    put(&writer, question->opened_count);
    for (size_t at = 0; at < question->opened_count; at++)
        put_inside(&writer, question->opened[at]);
    Table *tables[] = {&writer.sums, &writer.groups, &writer.order, &writer.begins};
    for (size_t at = 0; at < sizeof tables / sizeof *tables; at++)
        table_close(tables[at]);
    return writer.failed ? -1 : 0;
}
