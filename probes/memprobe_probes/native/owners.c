#include "owners.h"

#include <string.h>

#include "components.h"

enum { MEMO = 1 << 14, MOST_SETS = 1 << 16, AHEAD = 16, PATIENCE = 4, SPARE = 1 << 22 };

typedef struct {
    uint32_t one, other, both;
} Union;

/* Nodes whose set has grown and that have not handed it on yet. */
typedef struct {
    Table dirty; /* a bit per node */
    size_t waiting, lowest, count;
    uint64_t effort, patience; /* edges and words looked at; how many may be */
} Spread;

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
    if (owners->bits.used + 2 >= owners->bits.room) {
        owners->full = 1;
        return owners->everybody;
    }
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

static void seed(Owners *owners, const uint32_t *nodes_of, size_t count)
{
    uint32_t *set_of = owners->set_of.rows;
    for (uint32_t root = 0; root < owners->roots; root++)
        if (nodes_of[root] < count)
            set_of[nodes_of[root]] = with_bit(owners, set_of[nodes_of[root]], root);
}

static void wait_for(Spread *spread, uint32_t node)
{
    uint64_t *word = (uint64_t *)spread->dirty.rows + (node >> 6), bit = UINT64_C(1) << (node & 63);
    spread->waiting += !(*word & bit);
    *word |= bit;
    if (node < spread->lowest)
        spread->lowest = node;
}

/* Hands the set of a node on to what it refers to. With `onward` what lies behind the node is
   looked at later anyway, and does not have to wait for it. */
static void hand_on(Owners *owners, const Graph *graph, Spread *spread, uint32_t node, int onward)
{
    uint32_t *set_of = owners->set_of.rows, set = set_of[node];
    uint64_t first = graph_start(graph, node), last = graph_start(graph, node + 1);
    const uint32_t *edges = graph_edge(graph, 0);
    spread->effort += last - first;
    for (uint64_t at = first; at < last; at++) {
        uint32_t below = edges[at];
        if (below >= spread->count || set_of[below] == set) /* none, or beyond the named ones */
            continue;
        uint32_t both = united(owners, set_of[below], set);
        if (both == set_of[below])
            continue;
        set_of[below] = both;
        if (below < node || !onward)
            wait_for(spread, below);
    }
}

/* Looks at every node once, in order. */
static void sweep_all(Owners *owners, const Graph *graph, Spread *spread)
{
    uint32_t *set_of = owners->set_of.rows;
    const uint32_t *edges = graph_edge(graph, 0);
    uint32_t unnamed = with_bit(owners, 0, owners->roots);
    for (uint32_t node = 0; node < spread->count; node++) {
        uint64_t ahead = graph_start(graph, node) + AHEAD;
        if (ahead < graph->edges.used && edges[ahead] < spread->count)
            __builtin_prefetch(set_of + edges[ahead]);
        if (owners_is_unmet(graph, node))
            set_of[node] = united(owners, set_of[node], unnamed);
        hand_on(owners, graph, spread, node, 1);
    }
}

/* Looks at the nodes that wait, in order: what they hand on to later ones is still met. */
static void sweep_again(Owners *owners, const Graph *graph, Spread *spread)
{
    uint64_t *words = spread->dirty.rows;
    size_t at = spread->lowest >> 6, end = (spread->count + 63) >> 6;
    spread->lowest = spread->count;
    for (; at < end && spread->waiting; at++) {
        spread->effort++;
        while (words[at]) {
            uint32_t node = (uint32_t)(at << 6) + (uint32_t)__builtin_ctzll(words[at]);
            words[at] &= words[at] - 1;
            spread->waiting--;
            hand_on(owners, graph, spread, node, 0);
        }
    }
}

/* Hands sets on until none grows. Returns 1 where that takes too long, -1 without memory. */
static int spread_out(Owners *owners, const Graph *graph, size_t count)
{
    Spread spread = {.lowest = count, .count = count};
    spread.patience = PATIENCE * (count ? graph_start(graph, (uint32_t)count) : 0) + SPARE;
    if (table_open(&spread.dirty, 8, (count >> 6) + 1))
        return -1;
    sweep_all(owners, graph, &spread);
    while (spread.waiting && spread.effort < spread.patience && !owners->full)
        sweep_again(owners, graph, &spread);
    table_close(&spread.dirty);
    return spread.waiting || owners->full;
}

/* Hands the sets on from the component completed last to the first: from above to below. */
static void hand_down(Owners *owners, const Graph *graph, const Components *found, uint32_t *sets,
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

/* The same with cycles taken together: the cost is that of the edges, whatever the order. */
static int by_components(Owners *owners, const Graph *graph, const uint32_t *nodes_of,
                         size_t count)
{
    Components found;
    Table sets = {0};
    int failed = components_find(&found, graph, nodes_of, owners->roots, count) ||
                 table_open(&sets, 4, (size_t)found.components + 2);
    if (!failed) {
        uint32_t *rows = sets.rows;
        const uint32_t *component = found.component.rows;
        for (uint32_t root = 0; root < owners->roots; root++)
            if (nodes_of[root] < count) {
                uint32_t *set = rows + component[nodes_of[root]];
                *set = with_bit(owners, *set, root);
            }
        for (size_t at = 0; at < found.finished.used; at++) {
            uint32_t node = ((uint32_t *)found.finished.rows)[at];
            if (owners_is_unmet(graph, node))
                rows[component[node]] = with_bit(owners, rows[component[node]], owners->roots);
        }
        hand_down(owners, graph, &found, rows, count);
    }
    components_close(&found);
    table_close(&sets);
    return failed ? -1 : 0;
}

int owners_find(Owners *owners, const Graph *graph, const uint32_t *nodes_of, uint32_t roots,
                size_t count)
{
    if (open_tables(owners, roots, count))
        return -1;
    seed(owners, nodes_of, count);
    int left = spread_out(owners, graph, count);
    if (left <= 0)
        return left;
    owners_close(owners);
    if (open_tables(owners, roots, count))
        return -1;
    return by_components(owners, graph, nodes_of, count);
}
