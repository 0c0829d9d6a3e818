/* Where CPython keeps what its stable interface does not tell: offsets of 3.10 to 3.13.

   Every one is checked against Python's own answers before it is relied on (native_check.py). */
#ifndef MEMPROBE_LAYOUT_H
#define MEMPROBE_LAYOUT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#include "kinds.h"

/* Reads the running version once. Returns 0, or -1 where it is not one that is known here. */
int layout_prepare(void);

int layout_minor(void);

static inline uintptr_t layout_word(const void *start, ptrdiff_t offset)
{
    return *(const uintptr_t *)((const char *)start + offset);
}

static inline Py_ssize_t layout_basicsize(const PyTypeObject *type)
{
    return (Py_ssize_t)layout_word(type, 32);
}

static inline Py_ssize_t layout_itemsize(const PyTypeObject *type)
{
    return (Py_ssize_t)layout_word(type, 40);
}

/* Bytes that lie before an object: the collector's links, and where its dict is. */
uint32_t layout_preheader(unsigned long features);

PyTypeObject *const *layout_mro(const PyTypeObject *type, Py_ssize_t *length);

/* Returns the references an object has; INT32_MAX for one that is never freed. */
int32_t layout_references(const PyObject *object);

/* Returns the bytes of an object with everything only it uses: a list's items, a dict's table. */
uint64_t layout_size(const Kind *kind, const PyObject *object);

/* Visits what traversal leaves out, as no cycle leads through it: texts as keys of a dict of its own,
   the ends of a range. Returns what `visit` returned last. */
int layout_untold(const Kind *kind, const PyObject *object, visitproc visit, void *arg);

/* Returns how many bytes a memoryview shows; 0 once it is released. */
uint64_t layout_memoryview(const PyObject *object);

/* Memory an object has beside its own block: tells each through `tell`. Returns the bytes whose
   place is not known here. */
typedef void (*layout_tell)(void *arg, const void *start, size_t bytes);
uint64_t layout_blocks(const Kind *kind, const PyObject *object, layout_tell tell, void *arg);

/* Asks the memory for the largest of them. */
void layout_ask_for(const Kind *kind, const PyObject *object);

#endif
