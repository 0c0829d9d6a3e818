#include "layout.h"

#include <stdlib.h>
#include <string.h>

enum { HAVE_GC = 1 << 14, MANAGED_DICT = 1 << 4, MANAGED_WEAKREF = 1 << 3, INLINE = 1 << 2 };
enum { DEQUE_BLOCK = 528, DEQUE_LENGTH = 64, ORDERED_NODE = 32, SHELL = 112 };
enum { PLAIN_DICT = 64, CDATA_INSIDE = 16, ACCUMULATES = 2 };
enum { CACHED_KEYS_310 = 872, CACHED_KEYS_312 = 880 };

static int minor;
static uintptr_t any_key; /* 3.10: how a table is searched that may hold other keys than texts */

/* Reads off a dict with a key that is no text how the table of such a one is searched. */
static int learn_any_key(void)
{
    PyObject *dict = PyDict_New();
    int failed = dict == NULL || PyDict_SetItem(dict, Py_None, Py_None);
    if (!failed)
        any_key = layout_word((const void *)layout_word(dict, 32), 16);
    else
        PyErr_Clear();
    Py_XDECREF(dict);
    return failed ? -1 : 0;
}

int layout_prepare(void)
{
    minor = atoi(strchr(Py_GetVersion(), '.') + 1);
    if (minor < 10 || minor > 13)
        return -1;
    return minor == 10 ? learn_any_key() : 0;
}

int layout_minor(void)
{
    return minor;
}

uint32_t layout_preheader(unsigned long features)
{
    uint32_t bytes = features & HAVE_GC ? 16 : 0;
    if (minor == 11 && features & MANAGED_DICT)
        bytes += 16;
    if (minor >= 12 && features & (MANAGED_DICT | MANAGED_WEAKREF))
        bytes += 16;
    return bytes;
}

PyTypeObject *const *layout_mro(const PyTypeObject *type, Py_ssize_t *length)
{
    const void *tuple = (const void *)layout_word(type, 344);
    *length = tuple ? (Py_ssize_t)layout_word(tuple, 16) : 0;
    return tuple ? (PyTypeObject *const *)((const char *)tuple + 24) : NULL;
}

int32_t layout_references(const PyObject *object)
{
    /* From 3.12 on an object that is never freed has its lower half filled with ones. */
    uintptr_t count = layout_word(object, 0);
    if (minor >= 12 && (int32_t)count < 0)
        return INT32_MAX;
    return count > INT32_MAX / 2 ? INT32_MAX : (int32_t)count;
}

static Py_ssize_t size_of_var(const PyObject *object)
{
    Py_ssize_t size = (Py_ssize_t)layout_word(object, 16);
    return size < 0 ? -size : size;
}

static uint64_t digits_size(const PyObject *object)
{
    uint64_t digits = minor >= 12 ? layout_word(object, 16) >> 3 : (uint64_t)size_of_var(object);
    return 4 * (digits ? digits : 1);
}

static uint64_t str_size(const PyObject *object, Py_ssize_t basicsize)
{
    uint64_t ascii = minor >= 12 ? 40 : 48, compact = minor >= 12 ? 56 : 72;
    uint32_t state = (uint32_t)layout_word(object, 32);
    uint32_t kind = state >> 2 & 7, is_compact = state >> 5 & 1, is_ascii = state >> 6 & 1;
    uint64_t length = layout_word(object, 16), total;
    if (is_compact && is_ascii)
        return ascii + length + 1;
    total = is_compact ? compact + (length + 1) * kind : (uint64_t)basicsize + (length + 1) * kind;
    if (layout_word(object, (ptrdiff_t)(ascii + 8)) && !is_ascii)
        total += layout_word(object, (ptrdiff_t)ascii) + 1; /* its UTF-8 form is kept as well */
    return total;
}

static uint64_t keys_size(const char *keys)
{
    if (minor == 10) {
        uint64_t size = layout_word(keys, 8), usable = (size << 1) / 3;
        uint64_t index = size <= 0xff ? 1 : size <= 0xffff ? 2 : size <= 0xffffffff ? 4 : 8;
        return 40 + size * index + usable * 24;
    }
    uint64_t usable = (UINT64_C(2) << (uint8_t)keys[8]) / 3;
    return 32 + (UINT64_C(1) << (uint8_t)keys[9]) + usable * (keys[10] == 0 ? 24 : 16);
}

/* In 3.11 and 3.12 the byte before the slots tells what lies before them. */
static uint64_t before_values(const char *values)
{
    return minor == 11 || minor == 12 ? ((const uint8_t *)values)[-1] : 0;
}

/* Bytes of a block of slots for the values of keys that lie elsewhere. */
static uint64_t values_bytes(const char *values, const char *keys)
{
    if (minor == 10)
        return ((layout_word(keys, 8) << 1) / 3) * 8;
    if (minor >= 13) {
        uint64_t capacity = ((const uint8_t *)values)[0];
        return ((capacity + 7) & ~UINT64_C(7)) + (capacity + 1) * 8;
    }
    /* The first instances of a class get more slots than later ones; what lies before the slots
       tells how many, to the next multiple of eight. */
    uint64_t slots = layout_word(keys, 16) + layout_word(keys, 24), prefix = before_values(values);
    if (((slots + 2 + 7) & ~UINT64_C(7)) != prefix && prefix >= 8)
        slots = prefix - 2;
    return prefix + slots * 8;
}

/* From 3.13 on a dict made of an object's attributes looks at them where they are. */
static int is_inside_object(const char *values)
{
    return minor >= 13 && values[2];
}

static uint64_t dict_size(const PyObject *object)
{
    const char *keys = (const char *)layout_word(object, 32);
    const char *values = (const char *)layout_word(object, 40);
    uint64_t total = 0;
    if (values && !is_inside_object(values))
        total += values_bytes(values, keys);
    if (layout_word(keys, 0) == 1)
        total += keys_size(keys);
    return total;
}

/* Its nodes, and the table to find them in. */
static uint64_t order_size(const PyObject *ordered)
{
    return layout_word(ordered, 16) * ORDERED_NODE + layout_word(ordered, 72) * 8;
}

static uint64_t deque_blocks(const PyObject *object)
{
    return (layout_word(object, 40) + (uint64_t)size_of_var(object) + DEQUE_LENGTH - 1) /
           DEQUE_LENGTH;
}

static uint64_t bytesio_size(const PyObject *object)
{
    if (minor >= 12) /* it tells of its buffer as of an object */
        return 0;
    const void *buffer = (const void *)layout_word(object, 16);
    return buffer && layout_word(buffer, 0) == 1 ? 33 + layout_word(buffer, 16) : 0;
}

/* Texts that are written to it, before anybody reads: they are put together later. */
static uint64_t pieces_size(const PyObject *list)
{
    uint64_t total = 0;
    if (list == NULL)
        return 0;
    PyObject *const *items = (PyObject *const *)layout_word(list, 24);
    for (uint64_t at = 0; at < layout_word(list, 16); at++)
        total += layout_references(items[at]) == 1 ? str_size(items[at], 0) : 0;
    return total + layout_word(list, 32) * 8;
}

static uint64_t stringio_size(const PyObject *object)
{
    uint64_t total = layout_word(object, 40) * 4;
    const PyObject *one = (const PyObject *)layout_word(object, 56);
    const PyObject *other = (const PyObject *)layout_word(object, 64);
    if ((int)layout_word(object, 48) != ACCUMULATES)
        return total;
    if (minor <= 11)
        return total + pieces_size(one) + pieces_size(other);
    return total + (one && layout_references(one) == 1 ? str_size(one, 0) : 0);
}

/* Attributes and children of an element of ElementTree. */
static uint64_t element_size(const PyObject *object)
{
    const char *extra = (const char *)layout_word(object, 40);
    if (extra == NULL)
        return 0;
    return 64 + (layout_word(extra, 24) == (uintptr_t)extra + 32 ? 0 : layout_word(extra, 16) * 8);
}

/* Attributes that are kept without a dict, in a block of their own or behind the object. */
static uint64_t values_size(const Kind *kind, const PyObject *object, const void **block)
{
    *block = NULL;
    if (minor < 11 || !(kind->features & MANAGED_DICT))
        return 0;
    uintptr_t managed = layout_word(object, minor == 11 ? -32 : -24);
    if (minor >= 13) {
        const char *inline_values = (const char *)object + kind->basicsize;
        if (!(kind->features & INLINE))
            return 0;
        /* A dict that only looks at them is not told to the collector. */
        return values_bytes(inline_values, NULL) + (managed && inline_values[3] ? PLAIN_DICT : 0);
    }
    if (!managed || (minor == 12 && !(managed & 1)))
        return 0;
    const char *values = (const char *)managed + (minor == 12);
    const char *keys =
        (const char *)layout_word(kind->type, minor == 11 ? CACHED_KEYS_310 : CACHED_KEYS_312);
    if (!keys)
        return 0;
    *block = values - before_values(values);
    return values_bytes(values, keys);
}

uint64_t layout_memoryview(const PyObject *object)
{
    return layout_word(object, 40) & 1 ? 0 : layout_word(object, 72);
}

static uint64_t beside(const Kind *kind, const PyObject *object)
{
    switch (kind->sizer) {
    case SIZE_INT:
        return digits_size(object);
    case SIZE_LIST:
        return layout_word(object, 32) * 8;
    case SIZE_DICT:
        return dict_size(object);
    case SIZE_ORDERED:
        return dict_size(object) + order_size(object);
    case SIZE_SET:
        return layout_word(object, 40) == (uintptr_t)object + 64
                   ? 0
                   : (layout_word(object, 32) + 1) * 16;
    case SIZE_BYTEARRAY:
        return layout_word(object, 24);
    case SIZE_DEQUE:
        return deque_blocks(object) * DEQUE_BLOCK;
    case SIZE_ARRAY:
        return layout_word(object, 32) *
               (uint64_t) * (const int *)(layout_word(object, 40) + 4);
    case SIZE_BYTESIO:
        return bytesio_size(object);
    case SIZE_STRINGIO:
        return stringio_size(object);
    case SIZE_CDATA:
        return (int)layout_word(object, 24) && layout_word(object, 40) > CDATA_INSIDE
                   ? layout_word(object, 40)
                   : 0;
    case SIZE_ELEMENT:
        return element_size(object);
    default:
        return 0;
    }
}

uint64_t layout_size(const Kind *kind, const PyObject *object)
{
    const void *block;
    if (kind->flags & KIND_FIXED)
        return kind->fixed;
    if (kind->sizer == SIZE_SHELL)
        return SHELL;
    uint64_t total = (uint64_t)kind->basicsize + kind->preheader;
    if (kind->sizer == SIZE_STR)
        total = str_size(object, kind->basicsize) + kind->preheader;
    if (kind->itemsize > 0 && kind->sizer == SIZE_PLAIN)
        total += (uint64_t)size_of_var(object) * (uint64_t)kind->itemsize;
    return total + beside(kind, object) + values_size(kind, object, &block);
}

static int holds_only_texts(const char *keys)
{
    return minor == 10 ? layout_word(keys, 16) != any_key : keys[10] == 1;
}

/* Where a table's entries begin, and how far it is from one's key to the next one's. */
static const char *first_key(const char *keys, size_t *step)
{
    if (minor > 10) {
        *step = 16;
        return keys + 32 + (UINT64_C(1) << (uint8_t)keys[9]);
    }
    uint64_t size = layout_word(keys, 8);
    *step = 24;
    return keys + 40 + 8 + size * (size <= 0xff ? 1 : size <= 0xffff ? 2 : size <= 0xffffffff ? 4 : 8);
}

/* A name in somebody's code is a key of many dicts, and none of them keeps it. */
static int is_name(const PyObject *text)
{
    return layout_word(text, 32) & 3 && layout_references(text) > 1;
}

/* start, stop, step and length: a range is not for the collector, but they are its own. */
static int range_ends(const PyObject *object, visitproc visit, void *arg)
{
    int stopped = 0;
    for (ptrdiff_t at = 16; at <= 40 && !stopped; at += 8)
        if (layout_word(object, at))
            stopped = visit((PyObject *)layout_word(object, at), arg);
    return stopped;
}

int layout_untold(const Kind *kind, const PyObject *object, visitproc visit, void *arg)
{
    if (kind->type == &PyRange_Type)
        return range_ends(object, visit, arg);
    if (kind->sizer != SIZE_DICT && kind->sizer != SIZE_ORDERED)
        return 0;
    const char *keys = (const char *)layout_word(object, 32);
    if (layout_word(object, 40) || layout_word(keys, 0) != 1 || !holds_only_texts(keys))
        return 0;
    size_t step;
    const char *place = first_key(keys, &step);
    int stopped = 0;
    for (uint64_t left = layout_word(keys, minor == 10 ? 32 : 24); left > 0 && !stopped; left--) {
        PyObject *key = (PyObject *)layout_word(place, 0);
        if (key != NULL && layout_word(place, 8) && !is_name(key))
            stopped = visit(key, arg);
        place += step;
    }
    return stopped;
}

void layout_ask_for(const Kind *kind, const PyObject *object)
{
    if (kind->sizer == SIZE_DICT || kind->sizer == SIZE_ORDERED)
        __builtin_prefetch((const void *)layout_word(object, 32));
}

static void tell_dict(const PyObject *object, layout_tell tell, void *arg)
{
    const char *keys = (const char *)layout_word(object, 32);
    const char *values = (const char *)layout_word(object, 40);
    if (values && !is_inside_object(values))
        tell(arg, values - before_values(values), values_bytes(values, keys));
    if (layout_word(keys, 0) == 1)
        tell(arg, keys, keys_size(keys));
}

/* A deque's blocks are chained: the next one's address is at the end of each. */
static void tell_deque(const PyObject *object, layout_tell tell, void *arg)
{
    const void *block = (const void *)layout_word(object, 24);
    for (uint64_t left = deque_blocks(object); left > 0 && block; left--) {
        tell(arg, block, DEQUE_BLOCK);
        block = (const void *)layout_word(block, DEQUE_BLOCK - 8);
    }
}

uint64_t layout_blocks(const Kind *kind, const PyObject *object, layout_tell tell, void *arg)
{
    const void *block;
    uint64_t bytes = values_size(kind, object, &block);
    if (block)
        tell(arg, block, bytes);
    bytes = beside(kind, object);
    if (!bytes)
        return 0;
    switch (kind->sizer) {
    case SIZE_INT: /* its digits are in its own block */
        return 0;
    case SIZE_LIST:
    case SIZE_ARRAY:
        tell(arg, (const void *)layout_word(object, 24), bytes);
        return 0;
    case SIZE_ORDERED:
        tell_dict(object, tell, arg);
        return bytes - dict_size(object);
    case SIZE_DICT:
        tell_dict(object, tell, arg);
        return 0;
    case SIZE_SET:
        tell(arg, (const void *)layout_word(object, 40), bytes);
        return 0;
    case SIZE_BYTEARRAY:
        tell(arg, (const void *)layout_word(object, 32), bytes);
        return 0;
    case SIZE_BYTESIO:
    case SIZE_STRINGIO:
        tell(arg, (const void *)layout_word(object, 16), bytes);
        return 0;
    case SIZE_DEQUE:
        tell_deque(object, tell, arg);
        return 0;
    default:
        return bytes;
    }
}
