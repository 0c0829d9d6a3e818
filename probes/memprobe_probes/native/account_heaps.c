/* glibc's heaps, chunk by chunk: in use by whom, or free.

   What a chunk is used for is told by who refers to it (a claim), or by the Python object that
   begins in it. (malloc/malloc.c and arena.c of glibc 2.26 to 2.41.) */
#include "account.h"
#include "chunk.h"

enum {
    STEP = 16, THREAD_HEAP = 64 << 20, TOP_IN_ARENA = 96, ARENA_SIZE = 2200, BINNED = 48,
    EVERY = 1 << 16 /* chunks between two looks at the clock */
};

/* Whole pages inside of a free chunk: what a trim gives back. */
static void add_trimmable(Account *account, uintptr_t start, uintptr_t end)
{
    uintptr_t page = account->pages.page;
    start = (start + BINNED + page - 1) & ~(page - 1);
    end &= ~(page - 1);
    if (end > start)
        account->trimmable += pages_in(&account->pages, start, end);
}

static void take_free(Account *account, uintptr_t start, uintptr_t end)
{
    account_add(account, BUCKET_MALLOC_FREE, start, end);
    add_trimmable(account, start, end);
}

/* Objects in malloc may own other pieces of it: they are all looked at before anything is told. */
static void meet(Account *account, uintptr_t start, uintptr_t end)
{
    account_bucket(account, start + CHUNK_HEADER, end);
}

static void want(Account *account, uintptr_t start, uintptr_t end)
{
    if (account_bucket(account, start + CHUNK_HEADER, end) == BUCKET_MALLOC)
        account_want(account, start + CHUNK_HEADER, end + 8);
}

static void tell(Account *account, uintptr_t start, uintptr_t end)
{
    account_add(account, account_bucket(account, start + CHUNK_HEADER, end), start, end);
}

typedef void Used(Account *account, uintptr_t start, uintptr_t end);

/* Goes from chunk to chunk; returns where it makes no sense any more, or the end. `free`: NULL, or
   what is done with free ones. */
static uintptr_t walk(Account *account, uintptr_t chunk, uintptr_t end, Used *used, Used *free)
{
    for (size_t count = 1; chunk + CHUNK_LEAST <= end; count++) {
        uint64_t size = 0, after = 0;
        if (!source_word(&account->source, chunk + 8, &size) ||
            (count % EVERY == 0 && !account_in_time(account)))
            return chunk;
        size &= ~UINT64_C(7);
        if (size < CHUNK_LEAST || size % STEP || size > end - chunk)
            return chunk;
        uintptr_t next = chunk + size;
        int last = end - next < CHUNK_LEAST;
        if (!last && !source_word(&account->source, next + 8, &after))
            return chunk;
        if (!last && after & CHUNK_PREVIOUS_USED)
            used(account, chunk, next);
        else if (free != NULL)
            free(account, chunk, next);
        chunk = next;
    }
    return chunk;
}

typedef struct {
    uintptr_t start, first, end; /* of the heap; its first chunk */
} Heap;

static void take_heap(Account *account, const Heap *heap)
{
    account_add(account, BUCKET_MALLOC, heap->start, heap->first);
    uintptr_t reached = walk(account, heap->first, heap->end, tell, take_free);
    uint64_t rest = heap->end - reached;
    account_add(account, rest < 2 * CHUNK_LEAST ? BUCKET_MALLOC_FREE : BUCKET_MALLOC, reached,
                heap->end);
    if (rest >= 2 * CHUNK_LEAST)
        account->shortened++;
    account_cover(account, heap->start, heap->end);
}

static int add_heap(Table *heaps, uintptr_t start, uintptr_t first, uintptr_t end)
{
    if (table_make_room(heaps, 1))
        return -1;
    ((Heap *)heaps->rows)[heaps->used++] = (Heap){start, first, end};
    return 0;
}

/* The heap of brk() may be several mappings in a row. */
static void find_main(Account *account, Table *heaps)
{
    uintptr_t start = 0, end = 0;
    for (size_t at = 0; at < account->source.maps.used; at++) {
        const Mapping *row = (Mapping *)account->source.maps.rows + at;
        if (!(row->is & MAP_HEAP) || !(row->is & MAP_PLAIN) || (end && row->start != end))
            continue;
        start = start ? start : row->start;
        end = row->end;
    }
    if (start)
        add_heap(heaps, start, start, end);
}

/* A thread's heap begins at a multiple of 64 MiB and names its arena, which lies in the first heap
   of it, behind that one's header. */
static void find_thread_heap(Account *account, const Mapping *row, Table *heaps)
{
    uint64_t arena = 0, size = 0, other = 0;
    uintptr_t start = row->start;
    Source *source = &account->source;
    if (start % THREAD_HEAP || !source_word(source, start, &arena) || arena % STEP ||
        !source_word(source, start + 16, &size) || size < 4096 || size > THREAD_HEAP ||
        size % 4096 || !maps_plain(&source->maps, start, size))
        return;
    uintptr_t first = arena & ~(uintptr_t)(THREAD_HEAP - 1), header = arena - first;
    if (header < 32 || header > 4096 || !source_word(source, first, &other) || other != arena)
        return;
    uintptr_t begin = first == start ? (arena + ARENA_SIZE + STEP - 1) & ~(uintptr_t)(STEP - 1)
                                     : start + header;
    add_heap(heaps, start, begin, start + size);
}

static void walk_all(Account *account, const Table *heaps, Used *used)
{
    for (size_t at = 0; at < heaps->used; at++) {
        const Heap *heap = (const Heap *)heaps->rows + at;
        walk(account, heap->first, heap->end, used, NULL);
    }
}

void account_heaps(Account *account)
{
    Table heaps = {0};
    if (table_open(&heaps, sizeof(Heap), 64))
        return;
    find_main(account, &heaps);
    for (size_t at = 0; at < account->source.maps.used; at++) {
        const Mapping *row = (Mapping *)account->source.maps.rows + at;
        if ((row->is & MAP_PLAIN) && !(row->is & MAP_HEAP))
            find_thread_heap(account, row, &heaps);
    }
    if (account->python) { /* who refers to what */
        walk_all(account, &heaps, meet);
        walk_all(account, &heaps, want);
        account_mark(account);
    }
    for (size_t at = 0; at < heaps.used; at++)
        take_heap(account, (Heap *)heaps.rows + at);
    table_close(&heaps);
}
