/* The variables of a loaded library or program: its writable segments, .bss included. */
#ifndef MEMPROBE_SEGMENTS_H
#define MEMPROBE_SEGMENTS_H

#include <stddef.h>
#include <stdint.h>

/* Tells a word's place; returns nonzero to end the search. */
typedef int Word(const uintptr_t *place, size_t words_after, void *context);

/* Looks at each aligned word of the writable segments of the library that `inside` lies in.
   Returns the place that `word` ended at, or NULL. Call it outside of any clone. */
const uintptr_t *segments_find(const void *inside, Word *word, void *context);

#endif
