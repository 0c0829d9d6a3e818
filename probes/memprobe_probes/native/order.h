/* Sorting in place, without a word of memory more: qsort may call malloc. */
#ifndef MEMPROBE_ORDER_H
#define MEMPROBE_ORDER_H

#include <stddef.h>

/* Sorts rows of `words` 8-byte words, at most ORDER_WORDS, by their first one. */
enum { ORDER_WORDS = 4 };
void order(void *rows, size_t count, size_t words);

#endif
