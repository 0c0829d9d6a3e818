#include "kinds.h"

#include "layout.h"

enum { FIRST_ROWS = 1024, FIRST_PLACES = 4096 };

static size_t spread(const void *key)
{
    return (size_t)(((uintptr_t)key * UINT64_C(0x9E3779B97F4A7C15)) >> 24);
}

static uint32_t *place_of(const Kinds *kinds, const PyTypeObject *type)
{
    uint32_t *places = kinds->places.rows;
    size_t mask = kinds->places.room - 1, at = spread(type) & mask;
    while (places[at] && kinds_row(kinds, places[at] - 1)->type != type)
        at = (at + 1) & mask;
    return places + at;
}

static int widen(Kinds *kinds)
{
    Table wider;
    if (table_open(&wider, sizeof(uint32_t), kinds->places.room * 2))
        return -1;
    table_close(&kinds->places);
    kinds->places = wider;
    for (uint32_t number = 1; number < kinds->rows.used; number++)
        *place_of(kinds, kinds_row(kinds, number)->type) = number + 1;
    return 0;
}

int kinds_open(Kinds *kinds)
{
    kinds->last = NULL;
    if (table_open(&kinds->rows, sizeof(Kind), FIRST_ROWS) ||
        table_open(&kinds->places, sizeof(uint32_t), FIRST_PLACES))
        return -1;
    Kind *buffer = kinds_row(kinds, 0);
    buffer->flags = KIND_BUFFER | KIND_LEAF;
    kinds->rows.used = 1;
    return 0;
}

void kinds_close(Kinds *kinds)
{
    table_close(&kinds->rows);
    table_close(&kinds->places);
}

uint32_t kinds_add(Kinds *kinds, PyTypeObject *type, uint32_t flags, uint32_t sizer,
                   uint32_t fixed)
{
    if (table_make_room(&kinds->rows, 1) ||
        (kinds->rows.used * 2 > kinds->places.room && widen(kinds)))
        return UINT32_MAX;
    uint32_t number = (uint32_t)kinds->rows.used++;
    Kind *kind = kinds_row(kinds, number);
    kind->type = type;
    kind->flags = flags;
    kind->sizer = sizer;
    kind->fixed = fixed;
    kind->features = PyType_GetFlags(type);
    kind->basicsize = layout_basicsize(type);
    kind->itemsize = layout_itemsize(type);
    kind->preheader = layout_preheader(kind->features);
    kind->traverse = (traverseproc)PyType_GetSlot(type, Py_tp_traverse);
    *place_of(kinds, type) = number + 1;
    return number;
}

uint32_t kinds_known(const Kinds *kinds, const PyTypeObject *type)
{
    uint32_t found = *place_of(kinds, type);
    return found ? found - 1 : UINT32_MAX;
}

/* A class nobody told of does as the nearest base that is known. */
static uint32_t derive(Kinds *kinds, PyTypeObject *type)
{
    Py_ssize_t length;
    PyTypeObject *const *bases = layout_mro(type, &length);
    uint32_t flags = KIND_UNKNOWN, sizer = SIZE_FIRM, fixed = 0;
    for (Py_ssize_t at = 1; at < length; at++) {
        uint32_t known = kinds_known(kinds, bases[at]);
        if (known == UINT32_MAX)
            continue;
        Kind *base = kinds_row(kinds, known);
        flags |= base->flags & KIND_INHERITED;
        if (base->flags & KIND_STOP_BELOW)
            flags |= KIND_STOP | KIND_STOP_BELOW | (base->flags & KIND_CLASS);
        sizer = base->sizer;
        fixed = base->fixed;
        break;
    }
    return kinds_add(kinds, type, flags, sizer, fixed);
}

uint32_t kinds_of(Kinds *kinds, PyTypeObject *type)
{
    if (type == kinds->last)
        return kinds->last_number;
    uint32_t number = kinds_known(kinds, type);
    if (number == UINT32_MAX)
        number = derive(kinds, type);
    if (number != UINT32_MAX) {
        kinds->last = type;
        kinds->last_number = number;
    }
    return number;
}
