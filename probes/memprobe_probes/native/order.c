#include "order.h"

#include <stdint.h>
#include <string.h>

static void swap(uint64_t *one, uint64_t *other, size_t words)
{
    uint64_t kept[ORDER_WORDS];
    memcpy(kept, one, words * 8);
    memcpy(one, other, words * 8);
    memcpy(other, kept, words * 8);
}

static void sink(uint64_t *rows, size_t at, size_t count, size_t words)
{
    for (size_t below; (below = 2 * at + 1) < count; at = below) {
        if (below + 1 < count && rows[below * words] < rows[(below + 1) * words])
            below++;
        if (rows[at * words] >= rows[below * words])
            return;
        swap(rows + at * words, rows + below * words, words);
    }
}

/* A heap sort: no worst case, no recursion. */
void order(void *rows, size_t count, size_t words)
{
    uint64_t *all = rows;
    for (size_t at = count / 2; at-- > 0;)
        sink(all, at, count, words);
    while (count-- > 1) {
        swap(all, all + count * words, words);
        sink(all, 0, count, words);
    }
}
