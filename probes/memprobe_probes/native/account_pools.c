/* Python's own allocator: which blocks of its pools are in use, and what the objects in them own.

   Found without symbols: among the variables of libpython, the one that names a plausible table of
   arenas. (struct arena_object and pool_header of CPython 3.10 to 3.13, as in pymalloc.c.) */
#include <string.h>

#include "account.h"
#include "order.h"

enum {
    ARENA = 1 << 20, POOL = 1 << 14, SIZES = 32, STEP = 16, HEADER = 48,
    ROW_WORDS = 6, FIRST_ARENAS = 16, MOST_ARENAS = 1 << 20, LEAST_LOOKED_AT = 48
};

typedef struct {
    uint64_t address, next_pool;
    uint32_t free_pools, pools;
} Row;

typedef struct {
    uint32_t used, padding;
    uint64_t freeblock, next, previous;
    uint32_t arena, size_class, next_offset, last_offset;
} Header;

static uintptr_t first_pool(uintptr_t arena)
{
    return (arena + POOL - 1) & ~(uintptr_t)(POOL - 1);
}

static int read_row(Account *account, uintptr_t place, Row *row)
{
    uint64_t counts;
    if (!source_word(&account->source, place, &row->address) ||
        !source_word(&account->source, place + 8, &row->next_pool) ||
        !source_word(&account->source, place + 16, &counts))
        return 0;
    row->free_pools = (uint32_t)counts;
    row->pools = (uint32_t)(counts >> 32);
    return 1;
}

static int is_arena(const Account *account, const Row *row)
{
    uintptr_t first = first_pool(row->address), end = row->address + ARENA;
    return row->address % 4096 == 0 && row->pools == (end - first) / POOL &&
           row->free_pools <= row->pools && row->next_pool >= first && row->next_pool <= end &&
           row->next_pool % POOL == 0 && maps_plain(&account->source.maps, row->address, ARENA);
}

static int first_pool_agrees(Account *account, const Row *row, uint64_t number)
{
    uint64_t word;
    uintptr_t first = first_pool(row->address);
    return row->next_pool == first || (source_word(&account->source, first + 32, &word) &&
                                       (uint32_t)word == (uint32_t)number);
}

/* Returns how many rows the table has: it is malloc'ed, and doubles. 0: it is none. */
static size_t rows_of(Account *account, uintptr_t table)
{
    uint64_t size;
    size_t rows = FIRST_ARENAS;
    if (table < 4096 || table % STEP || !maps_plain(&account->source.maps, table - 16, 16) ||
        !source_word(&account->source, table - 8, &size))
        return 0;
    size = (size & ~UINT64_C(7)) - (size & 2 ? 16 : 8);
    if (size < rows * ROW_WORDS * 8 || size > (uint64_t)MOST_ARENAS * ROW_WORDS * 8 ||
        !maps_plain(&account->source.maps, table, size))
        return 0;
    while (rows * 2 * ROW_WORDS * 8 <= size)
        rows *= 2;
    return rows;
}

static int is_table(Account *account, uintptr_t table)
{
    Row row;
    size_t rows = rows_of(account, table), used = 0;
    for (size_t at = 0; at < rows; at++) {
        if (!read_row(account, table + at * ROW_WORDS * 8, &row))
            return 0;
        if (row.address == 0)
            continue;
        if (!is_arena(account, &row) || !first_pool_agrees(account, &row, at))
            return 0;
        used++;
    }
    return used > 0;
}

static uintptr_t found_in(Account *account, uintptr_t start, uintptr_t end)
{
    uint64_t word;
    for (uintptr_t place = start; place + 8 <= end; place += 8)
        if (source_word(&account->source, place, &word) && is_table(account, word))
            return place;
    return 0;
}

/* Looks through the variables of Python: its writable pages, and the anonymous ones behind them. */
static int is_python(const Account *account)
{
    for (size_t at = 0; at < account->regions.rows.used; at++)
        if (regions_row(&account->regions, at)->library == LIBRARY_PYTHON)
            return 1;
    return 0;
}

static uintptr_t look_for_place(Account *account)
{
    const Regions *regions = &account->regions;
    uintptr_t end = 0, found = 0;
    for (size_t at = 0; at < regions->rows.used && !found; at++) {
        const Region *row = regions_row(regions, at);
        int own = row->library == LIBRARY_PYTHON && row->writable;
        if (own || (row->plain && !row->heap && row->start == end))
            found = found_in(account, row->start, row->end);
        end = own || row->start == end ? row->end : 0;
    }
    return found;
}

int account_in_arena(Account *account, uintptr_t address)
{
    const uintptr_t *starts = account->arenas.rows;
    if (account->last_arena && address - account->last_arena < ARENA)
        return 1;
    size_t low = 0, high = account->arenas.used;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (starts[middle] <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || address - starts[low - 1] >= ARENA)
        return 0;
    account->last_arena = starts[low - 1];
    return 1;
}

static int list_arenas(Account *account, uintptr_t table, size_t count)
{
    Row row;
    if (table_open(&account->arenas, sizeof(uintptr_t), count ? count : 1))
        return -1;
    for (size_t at = 0; at < count; at++)
        if (read_row(account, table + at * ROW_WORDS * 8, &row) && row.address &&
            is_arena(account, &row))
            ((uintptr_t *)account->arenas.rows)[account->arenas.used++] = row.address;
    order(account->arenas.rows, account->arenas.used, 1);
    return 0;
}

/* Marks the free blocks of a pool, by 16 bytes. */
static void mark_free(const char *pool, uintptr_t at, const Header *header, uint64_t *free)
{
    uint64_t block = header->freeblock;
    for (int left = POOL / STEP; left && block; left--) {
        uintptr_t offset = block - at;
        if (block < at + HEADER || offset > POOL - STEP || offset % STEP)
            return;
        free[offset / STEP / 64] |= UINT64_C(1) << offset / STEP % 64;
        memcpy(&block, pool + offset, 8);
    }
}

static void look_at_blocks(Account *account, const char *pool, uintptr_t at, const Header *header)
{
    uint64_t free[POOL / STEP / 64] = {0};
    size_t size = (header->size_class + 1) * STEP;
    size_t end = header->next_offset < POOL ? header->next_offset : POOL;
    mark_free(pool, at, header, free);
    for (size_t offset = HEADER; offset + size <= end; offset += size)
        if (!(free[offset / STEP / 64] >> offset / STEP % 64 & 1) &&
            account_object(account, (const uint64_t *)(pool + offset), size / 8) == CLASS_NATIVE)
            account_look_behind(account, at + offset, at + offset + size);
}

/* A pool in use: its blocks that are, and the rest of its resident bytes. */
static void take_pool(Account *account, uintptr_t at, char *room)
{
    Header header;
    const char *pool = source_block(&account->source, at, room);
    uint64_t resident = pages_in(&account->pages, at, at + POOL), used = 0;
    if (pool != NULL && resident) {
        memcpy(&header, pool, sizeof header);
        size_t size = (header.size_class + 1) * STEP;
        if (header.size_class < SIZES && header.used && header.used <= (POOL - HEADER) / size) {
            used = header.used * size;
            account->live_blocks += header.used;
            account->pool_bytes += used;
            if (size >= LEAST_LOOKED_AT)
                look_at_blocks(account, pool, at, &header);
        }
    }
    used = used < resident ? used : resident;
    account_add_part(account, BUCKET_PYTHON, at, used);
    account_add_part(account, BUCKET_PYTHON_FREE, at, resident - used);
}

static void take_arena(Account *account, uintptr_t start, char *room)
{
    uintptr_t first = first_pool(start), end = start + ARENA, pool = first;
    account_add(account, BUCKET_PYTHON_FREE, start, first);
    for (; pool + POOL <= end; pool += POOL)
        take_pool(account, pool, room);
    account_add(account, BUCKET_PYTHON_FREE, pool, end);
    account_cover(account, start, end);
}

/* Where Python takes all its memory from malloc there are no arenas, and nothing is amiss. */
void account_pools(Account *account)
{
    uint64_t table = 0;
    char *room = memory_map(POOL);
    account->python = !account->source.pid || is_python(account);
    if (account->source.pid && account->python)
        account->shortened += (account->arenas_place = look_for_place(account)) == 0;
    if (room != NULL && account->arenas_place &&
        (!source_word(&account->source, account->arenas_place, &table) ||
         list_arenas(account, table, rows_of(account, table))))
        account->shortened++;
    for (size_t at = 0; room && at < account->arenas.used && account_in_time(account); at++)
        take_arena(account, ((uintptr_t *)account->arenas.rows)[at], room);
    memory_unmap(room, POOL);
}
