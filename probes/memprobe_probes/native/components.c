#include "components.h"

#include <string.h>

enum { UNSEEN = 0 };

typedef struct {
    uint32_t node;
    uint64_t at;
} Step;

static int open_tables(Components *found, size_t count)
{
    memset(found, 0, sizeof *found);
    return table_open(&found->low, 4, count + 1) || table_open(&found->component, 4, count + 1) ||
           table_open(&found->stack, 4, count + 1) ||
           table_open(&found->steps, sizeof(Step), 1024) ||
           table_open(&found->finished, 4, count + 1) || table_open(&found->order, 4, count + 1);
}

void components_close(Components *found)
{
    table_close(&found->low);
    table_close(&found->component);
    table_close(&found->stack);
    table_close(&found->steps);
    table_close(&found->finished);
    table_close(&found->order);
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

static int search(Components *found, const Graph *graph, uint32_t root, size_t count)
{
    uint32_t *low = found->low.rows, *component = found->component.rows, *order = found->order.rows;
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

int components_find(Components *found, const Graph *graph, const uint32_t *nodes_of,
                    uint32_t roots, size_t count)
{
    int failed = open_tables(found, count);
    for (uint32_t root = 0; root < roots && !failed; root++)
        if (nodes_of[root] < count)
            failed = search(found, graph, nodes_of[root], count);
    return failed ? -1 : 0;
}
