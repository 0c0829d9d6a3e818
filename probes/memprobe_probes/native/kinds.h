/* What the walk does with the instances of each class; mostly decided by Python beforehand. */
#ifndef MEMPROBE_KINDS_H
#define MEMPROBE_KINDS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#include "memory.h"

/* The same numbers as in native_kinds.py. */
enum {
    KIND_STOP = 1 << 0,       /* the walk is cut at its instances */
    KIND_LEAF = 1 << 1,       /* they refer to nothing */
    KIND_FIXED = 1 << 2,      /* a leaf of `fixed` bytes */
    KIND_OPAQUE = 1 << 3,     /* an adapter told beforehand what is behind them */
    KIND_ARRAY = 1 << 4,      /* ndarrays */
    KIND_WALKED = 1 << 5,     /* the class itself is an object of the user's to walk into */
    KIND_PARTLY_MET = 1 << 6, /* some of the references to them are never met */
    KIND_TASK = 1 << 7,
    KIND_WAKEUP = 1 << 8,  /* what a future calls to go on with a task */
    KIND_METHOD = 1 << 9,  /* builtin functions: a wakeup if bound to a task */
    KIND_CONTEXT = 1 << 10,
    KIND_VIEW = 1 << 11,        /* memoryviews and what is between them and the memory */
    KIND_KNOWN_BASE = 1 << 12,  /* bases of arrays that hold the memory themselves */
    KIND_CLASS = 1 << 13,       /* the instances are classes */
    KIND_TRIVIAL = 1 << 14,     /* functions and methods: never worth asking who else has them */
    KIND_STOP_BELOW = 1 << 15,  /* subclasses are cut as well */
    KIND_UNKNOWN = 1 << 16,     /* Python was not asked about this class */
    KIND_BUFFER = 1 << 17,      /* no class: native memory */
    KIND_BYTES = 1 << 18,
    KIND_TOLD = 1 << 19, /* named in the answer */
};
#define KIND_INHERITED                                                                     \
    (KIND_FIXED | KIND_OPAQUE | KIND_ARRAY | KIND_PARTLY_MET | KIND_TASK | KIND_WALKED)

typedef enum {
    SIZE_PLAIN, SIZE_INT, SIZE_STR, SIZE_LIST, SIZE_DICT, SIZE_SET, SIZE_BYTEARRAY,
    SIZE_DEQUE, SIZE_ORDERED, SIZE_ARRAY, SIZE_BYTESIO, SIZE_STRINGIO, SIZE_SHELL,
    SIZE_FIRM, /* without what may follow it: only its own code knows how much that is */
    SIZE_CDATA, SIZE_ELEMENT,
} Sizer;

typedef struct {
    PyTypeObject *type; /* NULL: native memory */
    uint32_t flags, sizer, fixed, preheader;
    Py_ssize_t basicsize, itemsize;
    unsigned long features; /* Py_TPFLAGS_… */
    traverseproc traverse;
    uint64_t count, bytes;
    int is_cut; /* whether the walk is cut at the class itself; -1: it is not, 0: not known yet */
} Kind;

typedef struct {
    Table rows;   /* Kind */
    Table places; /* uint32_t number + 1, open addressing over the type's address */
    PyTypeObject *last;
    uint32_t last_number;
} Kinds;

int kinds_open(Kinds *kinds);
void kinds_close(Kinds *kinds);

/* Adds a class that Python has decided about. Returns its number, or UINT32_MAX. */
uint32_t kinds_add(Kinds *kinds, PyTypeObject *type, uint32_t flags, uint32_t sizer,
                   uint32_t fixed);

/* Returns the number of a class, derived from its bases where Python was not asked. */
uint32_t kinds_of(Kinds *kinds, PyTypeObject *type);

/* Returns the number of a class that Python has decided about, else UINT32_MAX. */
uint32_t kinds_known(const Kinds *kinds, const PyTypeObject *type);

static inline Kind *kinds_row(const Kinds *kinds, uint32_t number)
{
    return (Kind *)kinds->rows.rows + number;
}

#endif
