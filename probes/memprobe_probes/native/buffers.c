#include "buffers.h"

enum { BYTES_DATA = 32 };

static int before(const Buffer *rows, uint32_t one, uint32_t other)
{
    const Buffer *left = rows + one, *right = rows + other;
    if (left->address != right->address)
        return left->address < right->address;
    return left->bytes > right->bytes;
}

static void sink(const Buffer *rows, uint32_t *order, size_t at, size_t count)
{
    for (size_t below; (below = 2 * at + 1) < count; at = below) {
        if (below + 1 < count && before(rows, order[below], order[below + 1]))
            below++;
        if (!before(rows, order[at], order[below]))
            return;
        uint32_t kept = order[at];
        order[at] = order[below];
        order[below] = kept;
    }
}

/* A heap sort: the C library's own may ask for memory. */
static void sort(const Buffer *rows, uint32_t *order, size_t count)
{
    for (size_t at = count / 2; at-- > 0;)
        sink(rows, order, at, count);
    while (count-- > 1) {
        uint32_t kept = order[0];
        order[0] = order[count];
        order[count] = kept;
        sink(rows, order, 0, count);
    }
}

static void refer(Graph *graph, uint32_t from, int slot, uint32_t to)
{
    *graph_edge(graph, graph_start(graph, from) + (uint64_t)slot) = to;
}

static void explain(Graph *graph, const Buffer *buffer, uint32_t owner)
{
    if (owner == NO_NODE) {
        uint32_t node = graph_find(graph, (const void *)(uintptr_t)(buffer->address - BYTES_DATA));
        if (node == NO_NODE || !(graph_kind(graph, node)->flags & KIND_BYTES))
            return;
        owner = node;
        graph_resize(graph, buffer->node, 0);
    }
    refer(graph, buffer->node, 1, owner);
    graph_met(graph, owner);
}

static void place(Graph *graph, const uint32_t *order, size_t count)
{
    Buffer *rows = graph->buffers.rows, *outer = NULL;
    uint64_t end = 0;
    uint32_t holder = NO_NODE, owner = NO_NODE;
    for (size_t at = 0; at < count; at++) {
        Buffer *buffer = rows + order[at];
        uint64_t stop = buffer->address + buffer->bytes;
        if (buffer->address >= end) {
            owner = buffer->owner;
            end = stop;
            holder = buffer->node;
            outer = buffer;
        } else {
            buffer->seen |= outer->seen;
            outer->seen |= buffer->seen;
            graph_resize(graph, buffer->node, stop > end ? stop - end : 0);
            refer(graph, buffer->node, 0, holder);
            if (stop > end) {
                end = stop;
                holder = buffer->node;
                outer = buffer;
            }
        }
        if (buffer->lent)
            explain(graph, buffer, owner);
    }
}

int buffers_settle(Graph *graph)
{
    Table order;
    const Buffer *rows = graph->buffers.rows;
    if (graph->buffers.used == 0)
        return 0;
    if (table_open(&order, sizeof(uint32_t), graph->buffers.used))
        return -1;
    for (uint32_t at = 0; at < graph->buffers.used; at++)
        if (rows[at].address < BUFFER_NOWHERE)
            ((uint32_t *)order.rows)[order.used++] = at;
    sort(rows, order.rows, order.used);
    place(graph, order.rows, order.used);
    table_close(&order);
    return 0;
}
