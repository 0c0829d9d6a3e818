#include "classes.h"

#include <string.h>

/* Offsets in PyTypeObject of CPython 3.10 to 3.14. */
enum { TYPE = 8, NAME = 24, BASICSIZE = 32, ITEMSIZE = 40, DEALLOC = 48, BASE = 256 };
enum { MOST_BASES = 16 };
enum { LONGEST_NAME = 32, MOST_SIZE = 1 << 20 };

typedef struct {
    const char *name;
    Class class;
} Known;

static const Known known[] = {
    {"list", CLASS_LIST}, {"dict", CLASS_DICT}, {"set", CLASS_SET}, {"frozenset", CLASS_SET},
    {"bytearray", CLASS_BYTEARRAY}, {"array.array", CLASS_ARRAY}, {"numpy.ndarray", CLASS_NDARRAY},
    {"collections.deque", CLASS_DEQUE},
    {"str", CLASS_PLAIN}, {"int", CLASS_PLAIN}, {"float", CLASS_PLAIN}, {"tuple", CLASS_PLAIN},
    {"bytes", CLASS_PLAIN}, {"function", CLASS_PLAIN}, {"code", CLASS_PLAIN},
    {"cell", CLASS_PLAIN}, {"frame", CLASS_PLAIN}, {"type", CLASS_PLAIN},
    {"method", CLASS_PLAIN}, {"builtin_function_or_method", CLASS_PLAIN},
    {"method_descriptor", CLASS_PLAIN}, {"wrapper_descriptor", CLASS_PLAIN},
    {"getset_descriptor", CLASS_PLAIN}, {"member_descriptor", CLASS_PLAIN},
    {"module", CLASS_PLAIN}, {"property", CLASS_PLAIN}, {"complex", CLASS_PLAIN},
};

/* How an instance of a class that a program wrote is let go of: known of this process only. */
static uint64_t written_in_python;

void classes_prepare(const void *one_in_python)
{
    written_in_python = *(const uint64_t *)((const char *)one_in_python + DEALLOC);
}

int classes_open(Classes *classes, Source *source)
{
    classes->source = source;
    classes->in_python = source->pid ? 0 : written_in_python;
    classes->kept = memory_map(CLASSES_KEPT * sizeof(ClassKept));
    return classes->kept == NULL ? -1 : 0;
}

void classes_close(Classes *classes)
{
    memory_unmap(classes->kept, CLASSES_KEPT * sizeof(ClassKept));
}

/* Copies a name of at most LONGEST_NAME - 1 characters; returns whether it is one. */
static int name_of(Source *source, uintptr_t address, char *name)
{
    uint64_t word;
    for (size_t at = 0; at < LONGEST_NAME - 1; at++) {
        uintptr_t place = address + at;
        if (!source_word(source, place & ~(uintptr_t)7, &word))
            return 0;
        name[at] = (char)(word >> place % 8 * 8);
        if (name[at] == '\0')
            return at > 0;
        if (name[at] < ' ')
            return 0;
    }
    name[LONGEST_NAME - 1] = '\0';
    return 1;
}

/* The class of a class's class is `type`, whose class is itself; metaclasses stand between. */
static int is_class(Source *source, uintptr_t address)
{
    uint64_t above, top, own, basic, item;
    return source_word(source, address + TYPE, &above) && above % 8 == 0 &&
           source_word(source, above + TYPE, &top) && top % 8 == 0 &&
           source_word(source, top + TYPE, &own) && own == top &&
           source_word(source, address + BASICSIZE, &basic) && basic >= 16 && basic < MOST_SIZE &&
           source_word(source, address + ITEMSIZE, &item) && item < MOST_SIZE;
}

/* Its instances have nothing but names and slots, which hold Python's objects. */
static int is_in_python(const Classes *classes, uintptr_t address)
{
    uint64_t dealloc;
    return classes->in_python && source_word(classes->source, address + DEALLOC, &dealloc) &&
           dealloc == classes->in_python;
}

Class classes_look(Classes *classes, uintptr_t address)
{
    char name[LONGEST_NAME];
    uint64_t pointer, base = address;
    int in_python = 1;
    if (!is_class(classes->source, address))
        return CLASS_NONE;
    for (int step = 0; step < MOST_BASES && base; step++) {
        if (!source_word(classes->source, base + NAME, &pointer) ||
            !name_of(classes->source, pointer, name))
            return step ? CLASS_NATIVE : CLASS_NONE;
        for (size_t at = 0; at < sizeof known / sizeof *known; at++)
            if (strcmp(name, known[at].name) == 0)
                return known[at].class;
        if (strcmp(name, "object") == 0)
            return in_python ? CLASS_PLAIN : CLASS_NATIVE;
        in_python = in_python && is_in_python(classes, base);
        if (!source_word(classes->source, base + BASE, &base))
            break;
    }
    return CLASS_NATIVE;
}
