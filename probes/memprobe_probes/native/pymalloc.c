#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "chunk.h"
#include "maps.h"
#include "pymalloc.h"
#include "resident.h"
#include "segments.h"

#include <string.h>

enum {
    ARENA = 1 << 20,
    POOL = 1 << 14,
    POOLS = ARENA / POOL,
    SIZES = 32, /* classes: 16, 32 … 512 bytes */
    STEP = 16,
    WORDS_PER_ARENA = ARENA / STEP / 64,
    FIRST_ARENAS = 16, /* CPython begins with so many and doubles */
    MOST_ARENAS = 1 << 24,
};

/* struct arena_object of CPython 3.10 to 3.13 */
typedef struct {
    uintptr_t address;
    uintptr_t next_pool; /* the first one that was never used */
    uint32_t free_pools; /* empty ones and never used ones */
    uint32_t pools;
    uintptr_t empty, next, previous;
} ArenaObject;

/* struct pool_header of the same */
typedef struct {
    uint64_t used; /* blocks; the upper half is padding */
    uintptr_t freeblock, next, previous;
    uint32_t arena, size_class, next_offset, last_offset;
} PoolHeader;

static const uintptr_t *arenas_place; /* the runtime's variable `arenas`; NULL: not in use */
static int prepared;

static uintptr_t first_pool(uintptr_t arena)
{
    return (arena + POOL - 1) & ~(uintptr_t)(POOL - 1);
}

/* How many rows the array has: it is malloc'ed, and its size only ever doubles. */
static size_t rows_of(const Table *maps, uintptr_t array)
{
    uint64_t bytes = chunk_usable(maps, array);
    size_t rows = FIRST_ARENAS;
    if (bytes < rows * sizeof(ArenaObject) || !maps_plain(maps, array, bytes))
        return 0;
    while (rows < MOST_ARENAS && rows * 2 * sizeof(ArenaObject) <= bytes)
        rows *= 2;
    return rows;
}

static int is_arena(const Table *maps, const ArenaObject *row)
{
    uintptr_t first = first_pool(row->address), end = row->address + ARENA;
    return row->address % 4096 == 0 && row->pools == (end - first) / POOL &&
           row->free_pools <= row->pools && row->next_pool >= first && row->next_pool <= end &&
           row->next_pool % POOL == 0 && maps_plain(maps, row->address, ARENA);
}

/* Whether the first pool of a row knows its arena's number. */
static int first_pool_agrees(const ArenaObject *row, size_t number)
{
    uintptr_t first = first_pool(row->address);
    const PoolHeader *pool = (const PoolHeader *)first;
    return row->next_pool == first || (pool->arena == number && pool->last_offset < POOL);
}

static int is_array(const Table *maps, uintptr_t array)
{
    if (array == 0 || array % STEP || !maps_plain(maps, array - STEP, STEP * 2))
        return 0;
    size_t rows = rows_of(maps, array), used = 0;
    const ArenaObject *row = (const ArenaObject *)array;
    for (size_t i = 0; i < rows; i++) {
        if (row[i].address == 0)
            continue;
        if (!is_arena(maps, &row[i]) || !first_pool_agrees(&row[i], i))
            return 0;
        used++;
    }
    return used > 0;
}

static int is_arenas(const uintptr_t *place, size_t words_after, void *maps)
{
    (void)words_after;
    return is_array(maps, *place);
}

/* Whether a new object lies in a pool of its own size: no debug hooks around it. */
static int holds_new_object(const Table *maps)
{
    void *object = PyObject_Malloc(STEP * 3);
    uintptr_t array = arenas_place ? *arenas_place : 0, block = (uintptr_t)object;
    const ArenaObject *rows = (const ArenaObject *)array;
    const PoolHeader *pool = (const PoolHeader *)(block & ~(uintptr_t)(POOL - 1));
    size_t count = array ? rows_of(maps, array) : 0;
    int good = 0;
    for (size_t i = 0; i < count && !good; i++)
        good = rows[i].address && block >= first_pool(rows[i].address) &&
               block < rows[i].address + ARENA && pool->arena == i && pool->size_class == 2 &&
               (block - (uintptr_t)pool - sizeof(PoolHeader)) % (STEP * 3) == 0;
    PyObject_Free(object);
    return good;
}

/* Whether Python was told to take all memory from malloc itself (PYTHONMALLOC=malloc). */
static int is_plain_malloc(const Table *maps)
{
    void *object = PyObject_Malloc(STEP * 3);
    int plain = chunk_usable(maps, (uintptr_t)object) == STEP * 3 + 8;
    PyObject_Free(object);
    return plain;
}

int pymalloc_prepare(const Table *maps, const char **reason)
{
    prepared = 0;
    arenas_place = segments_find((const void *)(uintptr_t)PyObject_Malloc, is_arenas, (void *)maps);
    prepared = holds_new_object(maps);
    if (!prepared) {
        arenas_place = NULL;
        prepared = is_plain_malloc(maps);
    }
    *reason = prepared ? NULL
                       : "Python's small objects are not where its allocator keeps them: a debug "
                         "allocator, or a version whose tables are not known";
    return prepared ? 0 : -1;
}

uintptr_t pymalloc_place(void)
{
    return prepared ? (uintptr_t)arenas_place : 0;
}

static size_t place_of(const Table *places, uintptr_t mebibyte)
{
    return (size_t)(mebibyte * UINT64_C(0x9E3779B97F4A7C15) >> 24) & (places->room - 1);
}

static void enter(Pymalloc *state, uintptr_t start, uint32_t number)
{
    uint32_t *places = state->places.rows;
    size_t place = place_of(&state->places, start / ARENA);
    while (places[place])
        place = (place + 1) & (state->places.room - 1);
    places[place] = number + 1;
}

static int add_arenas(Pymalloc *state, const Table *maps, const ArenaObject *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].address || !is_arena(maps, &rows[i]))
            continue;
        Arena *arena = (Arena *)state->arenas.rows + state->arenas.used;
        *arena = (Arena){rows[i].address, rows[i].pools, rows[i].free_pools, 0, 0, -1};
        enter(state, rows[i].address, (uint32_t)state->arenas.used++);
    }
    return 0;
}

int pymalloc_open(Pymalloc *state, const Table *maps)
{
    memset(state, 0, sizeof(*state));
    uintptr_t array = arenas_place ? *arenas_place : 0;
    size_t count = array ? rows_of(maps, array) : 0, places = 64;
    if (!prepared || (array && !count))
        return -1;
    while (places < count * 2)
        places *= 2;
    count = count ? count : 1;
    state->freed = memory_map(count * POOLS * sizeof(uint16_t));
    state->blocks = memory_map(count * WORDS_PER_ARENA * sizeof(uint64_t));
    if (!state->freed || !state->blocks ||
        table_open(&state->arenas, sizeof(Arena), count) ||
        table_open(&state->touched, sizeof(uint32_t), count) ||
        table_open(&state->places, sizeof(uint32_t), places)) {
        pymalloc_close(state);
        return -1;
    }
    return array ? add_arenas(state, maps, (const ArenaObject *)array, count) : 0;
}

static Arena *arena_with(Pymalloc *state, uintptr_t address, uintptr_t mebibyte)
{
    const uint32_t *places = state->places.rows;
    size_t place = place_of(&state->places, mebibyte);
    for (; places[place]; place = (place + 1) & (state->places.room - 1)) {
        Arena *arena = (Arena *)state->arenas.rows + places[place] - 1;
        if (address - arena->start < ARENA) {
            state->last = places[place] - 1;
            return arena;
        }
    }
    return NULL;
}

/* An arena begins in the MiB of the address, or in the one before. */
static Arena *arena_of(Pymalloc *state, uintptr_t address)
{
    Arena *last = (Arena *)state->arenas.rows + state->last;
    if (address - last->start < ARENA && state->arenas.used)
        return last;
    Arena *arena = arena_with(state, address, address / ARENA);
    return arena ? arena : arena_with(state, address, address / ARENA - 1);
}

/* Marks the block that lies at an offset in its pool; returns 0 where it was marked before. */
static int mark(uint64_t *blocks, const PoolHeader *pool, uintptr_t offset, size_t in_arena)
{
    size_t size = (pool->size_class + 1) * STEP;
    size_t begin = sizeof(PoolHeader) + (offset - sizeof(PoolHeader)) / size * size;
    size_t bit = (in_arena + begin) / STEP;
    uint64_t mask = (uint64_t)1 << bit % 64;
    if (blocks[bit / 64] & mask)
        return 0;
    blocks[bit / 64] |= mask;
    return 1;
}

int pymalloc_free(Pymalloc *state, uintptr_t address)
{
    Arena *arena = arena_of(state, address);
    if (arena == NULL)
        return 0;
    uintptr_t first = first_pool(arena->start), offset = (address - first) % POOL;
    size_t number = (address - first) / POOL, index = (size_t)(arena - (Arena *)state->arenas.rows);
    const PoolHeader *pool = (const PoolHeader *)(address - offset);
    if (address < first || number >= arena->pools || offset < sizeof(PoolHeader) ||
        pool->size_class >= SIZES || (uint32_t)pool->used == 0)
        return 1;
    if (!arena->touched++)
        ((uint32_t *)state->touched.rows)[state->touched.used++] = (uint32_t)index;
    uint64_t *blocks = state->blocks + index * WORDS_PER_ARENA;
    if (mark(blocks, pool, offset, number * POOL) &&
        ++state->freed[index * POOLS + number] == (uint32_t)pool->used)
        arena->emptied++;
    return 1;
}

static int64_t resident(Arena *arena, int pagemap, size_t page)
{
    if (arena->resident < 0)
        arena->resident =
            (int64_t)resident_bytes(pagemap, arena->start, arena->start + ARENA, page);
    return arena->resident;
}

static int goes_back(const Arena *arena)
{
    return arena->emptied && arena->free + arena->emptied == arena->pools;
}

/* The most free pools in an arena that does not go back. Python keeps an arena that is emptied
   while none has more free pools than it, so as to not ask for one again at once. */
static uint32_t most_room(const Pymalloc *state)
{
    const Arena *arenas = state->arenas.rows;
    uint32_t most = 0;
    for (size_t i = 0; i < state->arenas.used; i++) {
        uint32_t room = arenas[i].free + arenas[i].emptied;
        if (!goes_back(&arenas[i]) && room > most)
            most = room;
    }
    return most;
}

uint64_t pymalloc_returned(Pymalloc *state, int pagemap, size_t page)
{
    const uint32_t *touched = state->touched.rows;
    uint32_t room = most_room(state);
    int64_t bytes = 0, kept = 0;
    for (size_t i = 0; i < state->touched.used; i++) {
        Arena *arena = (Arena *)state->arenas.rows + touched[i];
        if (!goes_back(arena))
            continue;
        int64_t there = resident(arena, pagemap, page);
        kept = arena->pools > room && there > kept ? there : kept;
        bytes += there;
    }
    return (uint64_t)(bytes - kept);
}

void pymalloc_reset(Pymalloc *state)
{
    const uint32_t *touched = state->touched.rows;
    for (size_t i = 0; i < state->touched.used; i++) {
        size_t index = touched[i];
        Arena *arena = (Arena *)state->arenas.rows + index;
        arena->emptied = arena->touched = 0;
        memset(state->freed + index * POOLS, 0, POOLS * sizeof(uint16_t));
        memset(state->blocks + index * WORDS_PER_ARENA, 0, WORDS_PER_ARENA * sizeof(uint64_t));
    }
    state->touched.used = 0;
}

void pymalloc_close(Pymalloc *state)
{
    size_t room = state->arenas.room ? state->arenas.room : 1;
    memory_unmap(state->freed, room * POOLS * sizeof(uint16_t));
    memory_unmap(state->blocks, room * WORDS_PER_ARENA * sizeof(uint64_t));
    table_close(&state->arenas);
    table_close(&state->touched);
    table_close(&state->places);
}
