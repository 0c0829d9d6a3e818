/* What a walk found, as rows of 64-bit words: groups, types, views, buffers. */
#ifndef MEMPROBE_ANSWER_H
#define MEMPROBE_ANSWER_H

#include "collector.h"
#include "graph.h"
#include "owners.h"

#define ANSWER_MAGIC UINT64_C(0x33304B4C5757504D)
#define ANSWER_NONE UINT64_MAX

typedef struct {
    uint64_t root;   /* its number */
    uint64_t object; /* a container somewhere below it */
} Asked;

typedef struct {
    const Graph *graph;
    const Owners *owners;
    const Garbage *garbage;
    const uint32_t *root_nodes;
    const void *const *roots; /* objects */
    uint32_t root_count;
    const void *const *held; /* references the caller has for the moment, one each */
    size_t held_count;
    const Asked *asked;
    size_t asked_count;
    const uint64_t *opened; /* numbers of roots whose inside is asked for */
    size_t opened_count;
    uint64_t least_group; /* bytes */
    int simulate;
    uint64_t started, walked; /* ns */
} Question;

/* Fills `words` (a Table of uint64_t). Returns 0, or -1 without memory. */
int answer(const Question *question, Table *words);

#endif
