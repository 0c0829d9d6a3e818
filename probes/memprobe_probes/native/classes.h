/* Whether a word is the address of a Python class, and which one: by its structure alone, without
   any of Python's functions, so that it works on another process too. */
#ifndef MEMPROBE_CLASSES_H
#define MEMPROBE_CLASSES_H

#include "source.h"

typedef enum {
    CLASS_NONE, CLASS_PLAIN, CLASS_LIST, CLASS_DICT, CLASS_SET, CLASS_BYTEARRAY, CLASS_ARRAY,
    CLASS_NDARRAY, CLASS_DEQUE,
    CLASS_NATIVE /* none of Python's own: there may be memory of a library behind it */
} Class;

enum { CLASSES_KEPT = 1 << 13 };

typedef struct {
    uintptr_t key;
    uint64_t value;
} ClassKept;

typedef struct {
    Source *source;
    uint64_t in_python; /* how instances of classes written in Python are let go of, 0: not known */
    ClassKept *kept; /* by the lowest bits of the address */
} Classes;

/* Takes note of a class whose instances Python itself lets go of: one that was written in Python. */
void classes_prepare(const void *one_in_python);

int classes_open(Classes *classes, Source *source);
void classes_close(Classes *classes);

/* Returns what an address is. */
Class classes_look(Classes *classes, uintptr_t address);
static inline Class classes_at(Classes *classes, uint64_t word)
{
    ClassKept *kept = &classes->kept[(word >> 4 ^ word >> 17) % CLASSES_KEPT];
    if (word < 4096 || word % 8 || word >> 47)
        return CLASS_NONE;
    if (kept->key != word)
        *kept = (ClassKept){word, classes_look(classes, word)};
    return (Class)kept->value;
}

#endif
