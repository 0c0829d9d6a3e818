#include "owners.h"

#include <string.h>

enum { MEMO = 1 << 14, MOST_SETS = 1 << 16, UNSEEN = 0 };

typedef struct {
    uint32_t one, other, both;
} Union;

typedef struct {
    uint32_t node;
    uint64_t at;
} Step;

static uint64_t digest(const uint64_t *bits, size_t words)
{
    uint64_t hash = 0x9E3779B97F4A7C15;
    for (size_t at = 0; at < words; at++)
        hash = (hash ^ bits[at]) * UINT64_C(0xFF51AFD7ED558CCD), hash ^= hash >> 29;
    return hash;
}

/* Returns the number of the set that lies behind the last one, which becomes one if it is new. */
static uint32_t intern_last(Owners *owners)
{
    uint64_t *rows = owners->bits.rows, *fresh = rows + owners->bits.used * owners->words;
    uint32_t *places = owners->places.rows;
    size_t mask = owners->places.room - 1;
    size_t at = (size_t)digest(fresh, owners->words) & mask;
    for (; places[at]; at = (at + 1) & mask)
        if (!memcmp(rows + (places[at] - 1) * owners->words, fresh, owners->words * 8))
            return places[at] - 1;
    if (owners->bits.used + 2 >= owners->bits.room)
        return owners->everybody;
    places[at] = (uint32_t)++owners->bits.used;
    return (uint32_t)owners->bits.used - 1;
}

static uint64_t *scratch(Owners *owners)
{
    return (uint64_t *)owners->bits.rows + owners->bits.used * owners->words;
}

static uint32_t with_bit(Owners *owners, uint32_t set, uint32_t bit)
{
    uint64_t *fresh = scratch(owners);
    memcpy(fresh, owners_bits(owners, set), owners->words * 8);
    fresh[bit >> 6] |= UINT64_C(1) << (bit & 63);
    return intern_last(owners);
}

static uint32_t united(Owners *owners, uint32_t one, uint32_t other)
{
    if (one == other || other == 0)
        return one;
    if (one == 0)
        return other;
    Union *memo = (Union *)owners->memo.rows + ((one * 2654435761u ^ other * 40503u) % MEMO);
    if (memo->one == one && memo->other == other)
        return memo->both;
    uint64_t *fresh = scratch(owners);
    for (size_t at = 0; at < owners->words; at++)
        fresh[at] = owners_bits(owners, one)[at] | owners_bits(owners, other)[at];
    uint32_t both = intern_last(owners);
    *memo = (Union){one, other, both};
    return both;
}

int owners_unnamed(const Owners *owners, uint32_t set)
{
    return owners_bits(owners, set)[owners->roots >> 6] >> (owners->roots & 63) & 1;
}

int owners_named(const Owners *owners, uint32_t set)
{
    const uint64_t *bits = owners_bits(owners, set);
    for (size_t at = 0; at < owners->words; at++) {
        uint64_t own = bits[at];
        if (at == owners->roots >> 6)
            own &= ~(UINT64_C(1) << (owners->roots & 63));
        if (own)
            return 1;
    }
    return 0;
}

int owners_within(const Owners *owners, uint32_t small, uint32_t large)
{
    for (size_t at = 0; at < owners->words; at++)
        if (owners_bits(owners, small)[at] & ~owners_bits(owners, large)[at])
            return 0;
    return 1;
}

int owners_is_unmet(const Graph *graph, uint32_t node)
{
    return !(graph_kind(graph, node)->flags & (KIND_PARTLY_MET | KIND_BUFFER)) &&
           *graph_unmet(graph, node) > 0;
}

static int open_tables(Owners *owners, uint32_t roots, size_t count)
{
    memset(owners, 0, sizeof *owners);
    owners->roots = roots;
    owners->words = roots / 64 + 1;
    size_t sets = MOST_SETS;
    while (sets > 4096 && sets * owners->words * 8 > (size_t)64 << 20)
        sets /= 2;
    if (table_open(&owners->bits, owners->words * 8, sets) ||
        table_open(&owners->places, 4, (size_t)MOST_SETS * 2) ||
        table_open(&owners->memo, sizeof(Union), MEMO) || table_open(&owners->set_of, 4, count + 1))
        return -1;
    intern_last(owners); /* nobody */
    memset(scratch(owners), 0xff, owners->words * 8);
    owners->everybody = intern_last(owners);
    memset(scratch(owners), 0, owners->words * 8);
    return 0;
}

void owners_close(Owners *owners)
{
    table_close(&owners->bits);
    table_close(&owners->places);
    table_close(&owners->memo);
    table_close(&owners->set_of);
}

/* The order in which Tarjan's algorithm completes components, and each node's component. */
typedef struct {
    Table low, component, stack, steps, finished;
    uint32_t seen, components; /* components are numbered from 1 */
} Components;

static int components_open(Components *found, size_t count)
{
    memset(found, 0, sizeof *found);
    return table_open(&found->low, 4, count + 1) || table_open(&found->component, 4, count + 1) ||
           table_open(&found->stack, 4, count + 1) ||
           table_open(&found->steps, sizeof(Step), 1024) ||
           table_open(&found->finished, 4, count + 1);
}

static void components_close(Components *found)
{
    table_close(&found->low);
    table_close(&found->component);
    table_close(&found->stack);
    table_close(&found->steps);
    table_close(&found->finished);
}

static int enter(Components *found, const Graph *graph, uint32_t node)
{
    uint32_t *low = found->low.rows;
    if (graph_start(graph, node) == graph_start(graph, node + 1)) { /* a leaf is its own */
        low[node] = ++found->seen;
        ((uint32_t *)found->component.rows)[node] = ++found->components;
        ((uint32_t *)found->finished.rows)[found->finished.used++] = node;
        return 0;
    }
    if (table_make_room(&found->steps, 1))
        return -1;
    low[node] = ++found->seen;
    ((uint32_t *)found->stack.rows)[found->stack.used++] = node;
    ((Step *)found->steps.rows)[found->steps.used++] = (Step){node, graph_start(graph, node)};
    return 0;
}

static void leave(Components *found, uint32_t node, uint32_t index)
{
    uint32_t *low = found->low.rows, *component = found->component.rows;
    if (low[node] == index) {
        uint32_t number = ++found->components, member;
        do {
            member = ((uint32_t *)found->stack.rows)[--found->stack.used];
            component[member] = number;
            ((uint32_t *)found->finished.rows)[found->finished.used++] = member;
        } while (member != node);
    }
}

/* `order`: when each node was seen; `low` holds the lowest one reached. */
static int search(Components *found, const Graph *graph, uint32_t root, uint32_t *order, size_t count)
{
    uint32_t *low = found->low.rows, *component = found->component.rows;
    if (low[root] != UNSEEN)
        return 0;
    if (enter(found, graph, root))
        return -1;
    order[root] = low[root];
    while (found->steps.used) {
        Step *step = (Step *)found->steps.rows + found->steps.used - 1;
        uint32_t node = step->node;
        if (step->at < graph_start(graph, node + 1)) {
            uint32_t below = *graph_edge(graph, step->at++);
            if (below >= count) /* none, or beyond the named ones */
                continue;
            if (low[below] == UNSEEN) {
                if (enter(found, graph, below))
                    return -1;
                order[below] = low[below];
            } else if (!component[below] && order[below] < low[node]) {
                low[node] = order[below];
            }
            continue;
        }
        found->steps.used--;
        leave(found, node, order[node]);
        if (found->steps.used) {
            uint32_t above = ((Step *)found->steps.rows)[found->steps.used - 1].node;
            if (low[node] < low[above])
                low[above] = low[node];
        }
    }
    return 0;
}

/* Hands the sets on from the component completed last to the first: from above to below. */
static void hand_on(Owners *owners, const Graph *graph, Components *found, uint32_t *sets,
                    size_t count)
{
    const uint32_t *finished = found->finished.rows, *component = found->component.rows;
    uint32_t *set_of = owners->set_of.rows;
    for (size_t end = found->finished.used; end > 0;) {
        size_t begin = end;
        uint32_t number = component[finished[end - 1]], set = sets[number];
        while (begin > 0 && component[finished[begin - 1]] == number)
            begin--;
        for (size_t at = begin; at < end; at++) {
            uint32_t node = finished[at];
            set_of[node] = set;
            uint64_t last = graph_start(graph, node + 1);
            for (uint64_t edge = graph_start(graph, node); edge < last; edge++) {
                uint32_t below = *graph_edge(graph, edge);
                if (below < count && component[below] != number)
                    sets[component[below]] = united(owners, sets[component[below]], set);
            }
        }
        end = begin;
    }
}

int owners_find(Owners *owners, const Graph *graph, const uint32_t *nodes_of, uint32_t roots,
                size_t count)
{
    Components found;
    Table order = {0}, sets = {0};
    int failed = open_tables(owners, roots, count) || components_open(&found, count) ||
                 table_open(&order, 4, count + 1);
    for (uint32_t root = 0; root < roots && !failed; root++)
        if (nodes_of[root] < count)
            failed = search(&found, graph, nodes_of[root], order.rows, count);
    failed = failed || table_open(&sets, 4, (size_t)found.components + 2);
    if (!failed) {
        uint32_t *rows = sets.rows;
        const uint32_t *component = found.component.rows;
        for (uint32_t root = 0; root < roots; root++)
            if (nodes_of[root] < count) {
                uint32_t *set = rows + component[nodes_of[root]];
                *set = with_bit(owners, *set, root);
            }
        for (size_t at = 0; at < found.finished.used; at++) {
            uint32_t node = ((uint32_t *)found.finished.rows)[at];
            if (owners_is_unmet(graph, node))
                rows[component[node]] = with_bit(owners, rows[component[node]], roots);
        }
        hand_on(owners, graph, &found, rows, count);
    }
    components_close(&found);
    table_close(&order);
    table_close(&sets);
    return failed ? -1 : 0;
}
