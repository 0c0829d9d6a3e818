#include "dominators.h"

#include <string.h>

enum { MOST_ROWS = 400, MOST_SUMS = 4096, LOOK_AT_CLOCK = 63 };
#define MOST_NS UINT64_C(3000000000) /* few graphs take as many passes as they have objects */

typedef struct {
    const Graph *graph;
    const Owners *owners;
    size_t count;
    uint32_t set;
    Table number;   /* uint32_t per node: place in reverse postorder + 1 */
    Table node_at;  /* uint32_t per place */
    Table starts;   /* uint64_t per place: where its predecessors begin */
    Table above;    /* uint32_t: predecessors, as places */
    Table idom;     /* uint32_t per place, NO_NODE while unknown */
    Table kept;     /* uint64_t per place */
    Table objects;  /* uint64_t per place */
    Table row_of;   /* uint32_t per place: number of its row, NO_NODE without */
} Region;

typedef struct {
    uint32_t node;
    uint64_t at;
} Visit;

static uint32_t *cell(const Table *table, size_t at)
{
    return (uint32_t *)table->rows + at;
}

static uint64_t *wide(const Table *table, size_t at)
{
    return (uint64_t *)table->rows + at;
}

static int inside(const Region *region, uint32_t node)
{
    return node < region->count && owners_set(region->owners, node) == region->set;
}

/* Numbers the region in postorder, then turns that around. */
static int number_nodes(Region *region, uint32_t top)
{
    const Graph *graph = region->graph;
    Table visits;
    int failed = table_open(&visits, sizeof(Visit), 1024);
    if (!failed) {
        *cell(&region->number, top) = 1; /* seen */
        ((Visit *)visits.rows)[visits.used++] = (Visit){top, graph_start(graph, top)};
    }
    while (!failed && visits.used) {
        Visit *visit = (Visit *)visits.rows + visits.used - 1;
        if (visit->at == graph_start(graph, visit->node + 1)) {
            *cell(&region->node_at, region->node_at.used++) = visit->node;
            visits.used--;
            continue;
        }
        uint32_t below = *graph_edge(graph, visit->at++);
        if (!inside(region, below) || *cell(&region->number, below))
            continue;
        *cell(&region->number, below) = 1;
        failed = table_make_room(&visits, 1);
        if (!failed)
            ((Visit *)visits.rows)[visits.used++] = (Visit){below, graph_start(graph, below)};
    }
    table_close(&visits);
    size_t size = region->node_at.used;
    for (size_t low = 0; low + 1 < size - low; low++) {
        uint32_t kept = *cell(&region->node_at, low);
        *cell(&region->node_at, low) = *cell(&region->node_at, size - 1 - low);
        *cell(&region->node_at, size - 1 - low) = kept;
    }
    for (size_t place = 0; place < size; place++)
        *cell(&region->number, *cell(&region->node_at, place)) = (uint32_t)place + 1;
    return failed;
}

static uint32_t place_below(const Region *region, uint64_t edge)
{
    uint32_t below = *graph_edge(region->graph, edge);
    return inside(region, below) ? *cell(&region->number, below) - 1 : NO_NODE;
}

static int list_predecessors(Region *region)
{
    const Graph *graph = region->graph;
    size_t size = region->node_at.used;
    uint64_t total = 0;
    if (table_open(&region->starts, 8, size + 2))
        return -1;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t place = 0; place < size; place++) {
            uint32_t node = *cell(&region->node_at, place);
            for (uint64_t at = graph_start(graph, node); at < graph_start(graph, node + 1); at++) {
                uint32_t below = place_below(region, at);
                if (below == NO_NODE)
                    continue;
                if (pass == 0) {
                    ++*wide(&region->starts, below + 2);
                    total++;
                } else {
                    *cell(&region->above, (*wide(&region->starts, below + 1))++) = (uint32_t)place;
                }
            }
        }
        if (pass == 0) {
            for (size_t place = 2; place < size + 2; place++)
                *wide(&region->starts, place) += *wide(&region->starts, place - 1);
            if (table_open(&region->above, 4, total + 1))
                return -1;
        }
    }
    return 0;
}

static uint32_t common(const Region *region, uint32_t one, uint32_t other)
{
    while (one != other) {
        while (one > other)
            one = *cell(&region->idom, one);
        while (other > one)
            other = *cell(&region->idom, other);
    }
    return one;
}

static int out_of_time(const Region *region, uint64_t began)
{
    uint64_t now = graph_now(), deadline = region->graph->deadline;
    return now - began > MOST_NS || (deadline && now > deadline);
}

static int find_dominators(Region *region)
{
    size_t size = region->node_at.used;
    uint64_t began = graph_now();
    for (size_t place = 1; place < size; place++)
        *cell(&region->idom, place) = NO_NODE;
    for (int changed = 1; changed;) {
        changed = 0;
        for (uint32_t place = 1; place < size; place++) {
            uint32_t found = NO_NODE;
            if (!(place & LOOK_AT_CLOCK) && out_of_time(region, began))
                return -1;
            for (uint64_t at = *wide(&region->starts, place);
                 at < *wide(&region->starts, place + 1); at++) {
                uint32_t above = *cell(&region->above, at);
                if (*cell(&region->idom, above) != NO_NODE)
                    found = found == NO_NODE ? above : common(region, above, found);
            }
            if (found != *cell(&region->idom, place)) {
                *cell(&region->idom, place) = found;
                changed = 1;
            }
        }
    }
    return 0;
}

static void add_up(Region *region)
{
    for (size_t place = region->node_at.used; place-- > 0;) {
        *wide(&region->kept, place) += graph_size(region->graph, *cell(&region->node_at, place));
        ++*wide(&region->objects, place);
        if (place == 0)
            break;
        uint32_t above = *cell(&region->idom, place);
        *wide(&region->kept, above) += *wide(&region->kept, place);
        *wide(&region->objects, above) += *wide(&region->objects, place);
    }
}

static size_t rows_from(const Region *region, uint64_t least)
{
    size_t rows = 0;
    for (size_t place = 0; place < region->node_at.used && rows <= MOST_ROWS; place++)
        rows += *wide(&region->kept, place) >= least;
    return rows;
}

/* The least bytes, from `least` on, of which the rows are few: all of one size are few or none. */
static uint64_t worth_a_row(const Region *region, uint64_t least)
{
    uint64_t high = *wide(&region->kept, 0) + 1;
    if (rows_from(region, least) <= MOST_ROWS)
        return least;
    while (least + 1 < high) {
        uint64_t middle = least + (high - least) / 2;
        if (rows_from(region, middle) <= MOST_ROWS)
            high = middle;
        else
            least = middle;
    }
    return high;
}

static void put_row(Region *region, uint32_t place, Table *rows)
{
    uint32_t node = *cell(&region->node_at, place);
    *cell(&region->row_of, place) = (uint32_t)rows->used;
    ((Inner *)rows->rows)[rows->used++] = (Inner){
        .node = node,
        .parent = place ? *cell(&region->row_of, *cell(&region->idom, place)) : NO_NODE,
        .kind = ((uint32_t *)region->graph->kind_of.rows)[node],
        .count = 1,
        .own = graph_size(region->graph, node),
        .kept = *wide(&region->kept, place),
        .objects = *wide(&region->objects, place),
    };
}

/* Small objects directly inside of one that has a row are summed up by kind. */
static void add_small(const Region *region, uint32_t place, Table *sums)
{
    uint32_t parent = *cell(&region->row_of, *cell(&region->idom, place));
    uint32_t node = *cell(&region->node_at, place);
    uint32_t kind = ((uint32_t *)region->graph->kind_of.rows)[node];
    if (parent == NO_NODE)
        return;
    Inner *rows = sums->rows;
    size_t at = (parent * 31u + kind * 2654435761u) % MOST_SUMS;
    for (size_t tried = 0; tried < MOST_SUMS; tried++, at = (at + 1) % MOST_SUMS) {
        if (rows[at].count && (rows[at].parent != parent || rows[at].kind != kind))
            continue;
        rows[at].node = NO_NODE;
        rows[at].parent = parent;
        rows[at].kind = kind;
        rows[at].count++;
        rows[at].own += graph_size(region->graph, node);
        rows[at].kept += *wide(&region->kept, place);
        rows[at].objects += *wide(&region->objects, place);
        return;
    }
}

static int put_rows(Region *region, uint64_t least, Table *rows)
{
    Table sums;
    size_t size = region->node_at.used;
    least = worth_a_row(region, least);
    if (table_open(&sums, sizeof(Inner), MOST_SUMS))
        return -1;
    put_row(region, 0, rows);
    for (uint32_t place = 1; place < size; place++) {
        *cell(&region->row_of, place) = NO_NODE;
        if (*wide(&region->kept, place) >= least)
            put_row(region, place, rows);
    }
    for (uint32_t place = 1; place < size; place++)
        if (*cell(&region->row_of, place) == NO_NODE)
            add_small(region, place, &sums);
    for (size_t at = 0; at < MOST_SUMS && rows->used < 2 * MOST_ROWS; at++)
        if (((Inner *)sums.rows)[at].kept >= least)
            ((Inner *)rows->rows)[rows->used++] = ((Inner *)sums.rows)[at];
    table_close(&sums);
    return 0;
}

int dominators_find(const Graph *graph, const Owners *owners, uint32_t top, size_t count,
                    uint64_t least, Table *rows)
{
    Region region = {.graph = graph, .owners = owners, .count = count,
                     .set = owners_set(owners, top)};
    int failed = table_open(rows, sizeof(Inner), 2 * MOST_ROWS + 2) ||
                 table_open(&region.number, 4, count + 1) ||
                 table_open(&region.node_at, 4, count + 1) || number_nodes(&region, top);
    size_t size = region.node_at.used + 1;
    failed = failed || list_predecessors(&region) || table_open(&region.idom, 4, size) ||
             table_open(&region.kept, 8, size) || table_open(&region.objects, 8, size) ||
             table_open(&region.row_of, 4, size) || find_dominators(&region);
    if (!failed) {
        add_up(&region);
        failed = put_rows(&region, least, rows);
    }
    Table *tables[] = {&region.number, &region.node_at, &region.starts,  &region.above,
                       &region.idom,   &region.kept,    &region.objects, &region.row_of};
    for (size_t at = 0; at < sizeof tables / sizeof *tables; at++)
        table_close(tables[at]);
    return failed ? -1 : 0;
}
