#include "heaps.h"

#include <string.h>

#include "chunk.h"
#include "resident.h"

enum {
    STEP = 16,
    WORD = 64, /* bits of a word; also words of `freed` to a bit of `groups` */
    MOST_HEAPS = 4096,
    THREAD_HEAP = 64 << 20, /* HEAP_MAX_SIZE: a thread's heap begins at a multiple of it */
    BINNED_HEADER = 48,     /* what a trim leaves before the pages of a free chunk */
    TOP_LEFT = 33,          /* and at least that much of a heap's free end */
    MERGED_LEAST = 64 << 10 /* a free chunk of so many bytes makes glibc look at the end */
};

/* heap_info of glibc: at the begin of a thread's heap. */
typedef struct {
    uintptr_t arena, previous;
    uint64_t size, writable;
} HeapInfo;

static size_t words_of(const Heap *heap)
{
    return (heap->end - heap->start) / STEP / WORD + WORD + 1;
}

static size_t groups_of(const Heap *heap)
{
    return words_of(heap) / WORD / WORD + 1;
}

static size_t pages_words(const Heap *heap, size_t page)
{
    return (heap->end - heap->start) / page / WORD + 1;
}

static Heap *add_heap(Heaps *state, uintptr_t start, uintptr_t end, int is_main)
{
    if (state->heaps.used == MOST_HEAPS)
        return NULL;
    Heap *heap = (Heap *)state->heaps.rows + state->heaps.used;
    *heap = (Heap){.start = start, .end = end, .is_main = is_main};
    heap->freed = memory_map(words_of(heap) * sizeof(uint64_t));
    heap->groups = memory_map(groups_of(heap) * sizeof(uint64_t));
    state->heaps.used++;
    return heap->freed && heap->groups ? heap : NULL;
}

/* The heap of brk() may be several mappings in a row. */
static int add_main_heap(Heaps *state, const Table *maps)
{
    const Mapping *all = maps->rows;
    uintptr_t start = 0, end = 0;
    for (size_t i = 0; i < maps->used; i++) {
        if (!(all[i].is & MAP_HEAP) || !(all[i].is & MAP_PLAIN) || (end && all[i].start != end))
            continue;
        start = start ? start : all[i].start;
        end = all[i].end;
    }
    tcache_open(&state->cache, end - start >= 4096 ? start : 0);
    return start == 0 || add_heap(state, start, end, 1) ? 0 : -1;
}

int heaps_open(Heaps *state, const Table *maps, size_t page)
{
    memset(state, 0, sizeof(*state));
    state->page = page;
    if (table_open(&state->heaps, sizeof(Heap), MOST_HEAPS) == 0 && add_main_heap(state, maps) == 0)
        return 0;
    heaps_close(state);
    return -1;
}

static Heap *known_heap(Heaps *state, uintptr_t address)
{
    Heap *heaps = state->heaps.rows;
    if (state->last < state->heaps.used && address >= heaps[state->last].start &&
        address < heaps[state->last].end)
        return &heaps[state->last];
    for (size_t i = 0; i < state->heaps.used; i++) {
        if (address >= heaps[i].start && address < heaps[i].end) {
            state->last = i;
            return &heaps[i];
        }
    }
    return NULL;
}

static const HeapInfo *info_at(const Table *maps, uintptr_t place)
{
    const HeapInfo *info = (const HeapInfo *)place;
    if (place == 0 || !maps_plain(maps, place, sizeof(HeapInfo)))
        return NULL;
    int plausible = info->size >= 4096 && info->size <= THREAD_HEAP && info->size % 4096 == 0 &&
                    info->arena % STEP == 0;
    return plausible && maps_plain(maps, place, info->size) ? info : NULL;
}

/* A thread's heap names its arena, and the heap that the arena lies in names the same. */
static Heap *thread_heap(Heaps *state, const Table *maps, uintptr_t address)
{
    uintptr_t place = address & ~(uintptr_t)(THREAD_HEAP - 1);
    const HeapInfo *info = info_at(maps, place);
    if (info == NULL || address - place >= info->size)
        return NULL;
    uintptr_t first = info->arena & ~(uintptr_t)(THREAD_HEAP - 1);
    const HeapInfo *other = info_at(maps, first);
    if (other == NULL || other->arena != info->arena || info->arena - first >= 4096)
        return NULL;
    return add_heap(state, place, place + info->size, 0);
}

static int is_freed(const Heap *heap, uintptr_t chunk)
{
    size_t bit = (chunk - heap->start) / STEP;
    return heap->freed[bit / WORD] >> bit % WORD & 1;
}

static void flip(Heap *heap, uintptr_t chunk)
{
    size_t bit = (chunk - heap->start) / STEP;
    heap->freed[bit / WORD] ^= (uint64_t)1 << bit % WORD;
}

/* Returns where a chunk ends, 0 where its header makes no sense. */
static uintptr_t end_of(const Heap *heap, uintptr_t chunk)
{
    uint64_t size = chunk_size((const Chunk *)chunk);
    if (size < CHUNK_LEAST || size % STEP || size > heap->end - chunk)
        return 0;
    return chunk + size;
}

static int previous_is_used(uintptr_t chunk)
{
    return ((const Chunk *)chunk)->size & CHUNK_PREVIOUS_USED;
}

static int is_used_chunk(const Heap *heap, uintptr_t chunk)
{
    uint64_t flags = ((const Chunk *)chunk)->size & 7;
    uintptr_t end = end_of(heap, chunk);
    int whose = flags & CHUNK_NOT_MAIN ? !heap->is_main : heap->is_main;
    return end && heap->end - end >= sizeof(Chunk) && !(flags & CHUNK_MAPPED) && whose &&
           previous_is_used(end);
}

int heaps_free(Heaps *state, const Table *maps, uintptr_t data)
{
    uintptr_t chunk = data - CHUNK_HEADER;
    Heap *heap = known_heap(state, chunk);
    if (data % STEP || data < CHUNK_HEADER)
        return heap != NULL;
    if (heap == NULL && maps_plain(maps, chunk, sizeof(Chunk)) &&
        (((const Chunk *)chunk)->size & 6) == CHUNK_NOT_MAIN)
        heap = thread_heap(state, maps, chunk);
    if (heap == NULL)
        return 0;
    if (heap->end - chunk < sizeof(Chunk) || is_freed(heap, chunk) || !is_used_chunk(heap, chunk))
        return 1;
    size_t bit = (chunk - heap->start) / STEP;
    flip(heap, chunk);
    heap->groups[bit / WORD / WORD / WORD] |= (uint64_t)1 << bit / WORD / WORD % WORD;
    tcache_offer(&state->cache, chunk, chunk_size((const Chunk *)chunk));
    return 1;
}

/* Takes what stays in the thread's cache out of the freed chunks, or puts it back. */
static void flip_cached(Heaps *state)
{
    for (size_t bin = 0; bin < TCACHE_BINS; bin++)
        for (size_t i = 0; i < state->cache.used[bin]; i++)
            flip(known_heap(state, state->cache.chunks[bin][i]), state->cache.chunks[bin][i]);
}

/* A run of free memory: freed chunks and those that were free before, up to a used one. */
typedef struct {
    uintptr_t start, end;
    uint64_t trimmed_before; /* what a trim would give back of it with the freed chunks in use */
    int at_end;              /* it reaches the end of the heap */
    uintptr_t top;           /* where the free end began before; then `at_end` */
} Run;

/* Whole pages of a piece of free memory that glibc would give back. */
typedef struct {
    uintptr_t start, end;
} Pages;

static Pages inside(uintptr_t start, uintptr_t end, size_t page)
{
    start = (start + BINNED_HEADER + page - 1) & ~(uintptr_t)(page - 1);
    end &= ~(uintptr_t)(page - 1);
    return (Pages){start, end > start ? end : start};
}

/* The end of a heap from `start` on; `pad` bytes stay. */
static Pages at_end(uintptr_t start, uintptr_t end, uint64_t pad, size_t page)
{
    uint64_t size = end - start;
    uint64_t extra = size > pad + TOP_LEFT ? (size - pad - TOP_LEFT) & ~(uint64_t)(page - 1) : 0;
    return (Pages){end - extra, end};
}

/* What has gone from the end of a heap when the last of a run is freed. Freed from the end on, it
   shrinks each time that the threshold is reached, and what came after the last time is left. */
static Pages gone_by_itself(const Run *run, const Tuning *tuning, size_t page)
{
    uint64_t size = run->end - run->start;
    if (size < tuning->trim_threshold || run->top - run->start < MERGED_LEAST)
        return (Pages){run->end, run->end};
    Pages most = at_end(run->start, run->end, tuning->top_pad, page);
    uint64_t step = tuning->trim_threshold > tuning->top_pad + page
                        ? tuning->trim_threshold - tuning->top_pad : page;
    uint64_t bytes = (most.end - most.start) / step * step & ~(uint64_t)(page - 1);
    return (Pages){run->end - bytes, run->end};
}

static Pages overlap(Pages one, Pages other)
{
    uintptr_t start = one.start > other.start ? one.start : other.start;
    uintptr_t end = one.end < other.end ? one.end : other.end;
    return (Pages){start, end > start ? end : start};
}

static uint64_t in_memory(const Heap *heap, Pages pages, size_t page)
{
    uint64_t count = 0;
    size_t last = (pages.end - heap->start) / page;
    for (size_t i = (pages.start - heap->start) / page; i < last;) {
        if (i % WORD == 0 && last - i >= WORD) {
            count += (uint64_t)__builtin_popcountll(heap->resident[i / WORD]);
            i += WORD;
        } else {
            count += heap->resident[i / WORD] >> i % WORD & 1;
            i++;
        }
    }
    return count * page;
}

/* Adds a chunk that was free before to a run. */
static void add_free(const Heap *heap, Run *run, uintptr_t start, uintptr_t end, size_t page)
{
    run->trimmed_before += in_memory(heap, inside(start, end, page), page);
}

static void begin(const Heap *heap, Run *run, uintptr_t chunk, size_t page)
{
    uint64_t before = ((const Chunk *)chunk)->before;
    *run = (Run){.start = chunk, .end = chunk};
    if (previous_is_used(chunk) || before > chunk - heap->start || before % STEP ||
        chunk_size((const Chunk *)(chunk - before)) != before)
        return;
    run->start = chunk - before;
    add_free(heap, run, run->start, chunk, page);
}

/* Goes on from the freed chunk at `run->end` as far as memory is free. */
static void extend(const Heap *heap, Run *run, size_t page)
{
    for (;;) {
        uintptr_t chunk = run->end;
        int freed = is_freed(heap, chunk);
        uintptr_t end = end_of(heap, chunk);
        if (end == 0)
            return;
        if (end == heap->end) {
            run->end = end;
            run->at_end = 1;
            run->top = chunk;
            return;
        }
        if (heap->end - end < sizeof(Chunk) || (!freed && previous_is_used(end)))
            return;
        if (!freed)
            add_free(heap, run, chunk, end, page);
        run->end = end;
    }
}

static Amounts of_middle(const Heap *heap, const Run *run, size_t page)
{
    uint64_t after = in_memory(heap, inside(run->start, run->end, page), page);
    return (Amounts){after > run->trimmed_before ? after - run->trimmed_before : 0, 0};
}

/* The main heap shrinks by itself from the threshold on, and in a trim. */
static Amounts of_main_end(const Heap *heap, const Run *run, const Tuning *tuning, size_t page)
{
    Pages old = at_end(run->top, run->end, 0, page), all = at_end(run->start, run->end, 0, page);
    Pages most = gone_by_itself(run, tuning, page);
    uint64_t before = run->trimmed_before + in_memory(heap, old, page);
    uint64_t trimmed = in_memory(heap, all, page);
    Amounts amounts = {trimmed > before ? trimmed - before : 0, 0};
    uint64_t most_bytes = in_memory(heap, most, page);
    uint64_t old_bytes = run->trimmed_before + in_memory(heap, overlap(old, most), page);
    amounts.untrimmed = most_bytes > old_bytes ? most_bytes - old_bytes : 0;
    return amounts;
}

/* A thread's heap shrinks by itself or not at all: a trim does not look at its end. */
static Amounts of_thread_end(const Heap *heap, const Run *run, const Tuning *tuning, size_t page)
{
    Pages gone = gone_by_itself(run, tuning, page);
    if (run->start - heap->start <= sizeof(HeapInfo) + STEP)
        gone = (Pages){heap->start, heap->end};
    uint64_t bytes = in_memory(heap, gone, page);
    bytes = bytes > run->trimmed_before ? bytes - run->trimmed_before : 0;
    return (Amounts){bytes, bytes};
}

static Amounts of_run(const Heap *heap, const Run *run, const Tuning *tuning, size_t page)
{
    if (!run->at_end)
        return of_middle(heap, run, page);
    return heap->is_main ? of_main_end(heap, run, tuning, page)
                         : of_thread_end(heap, run, tuning, page);
}

static void add(Amounts *sum, Amounts more)
{
    sum->trimmed += more.trimmed;
    sum->untrimmed += more.untrimmed;
}

/* Adds the runs that begin at freed chunks of one word; `reached`: the end of the last run. */
static void of_word(const Heap *heap, size_t word, const Tuning *tuning, size_t page,
                    uintptr_t *reached, Amounts *sum)
{
    for (uint64_t bits = heap->freed[word]; bits; bits &= bits - 1) {
        uintptr_t chunk = heap->start + (word * WORD + (size_t)__builtin_ctzll(bits)) * STEP;
        if (chunk < *reached)
            continue;
        Run run;
        begin(heap, &run, chunk, page);
        extend(heap, &run, page);
        add(sum, of_run(heap, &run, tuning, page));
        *reached = run.end;
    }
}

static int ask_resident(Heap *heap, int pagemap, size_t page)
{
    if (heap->resident != NULL)
        return 1;
    heap->resident = memory_map(pages_words(heap, page) * sizeof(uint64_t));
    if (heap->resident != NULL)
        resident_pages(pagemap, heap->start, heap->end, page, heap->resident);
    return heap->resident != NULL;
}

static int has_freed(const Heap *heap)
{
    for (size_t i = 0; i < groups_of(heap); i++)
        if (heap->groups[i])
            return 1;
    return 0;
}

static Amounts of_heap(Heap *heap, const Tuning *tuning, int pagemap, size_t page)
{
    Amounts sum = {0, 0};
    uintptr_t reached = 0;
    if (!has_freed(heap) || !ask_resident(heap, pagemap, page))
        return sum;
    for (size_t i = 0; i < groups_of(heap); i++)
        for (uint64_t bits = heap->groups[i]; bits; bits &= bits - 1) {
            size_t first = (i * WORD + (size_t)__builtin_ctzll(bits)) * WORD;
            for (size_t word = first; word < first + WORD; word++)
                of_word(heap, word, tuning, page, &reached, &sum);
        }
    return sum;
}

Amounts heaps_returned(Heaps *state, const Tuning *tuning, int pagemap)
{
    Amounts sum = {0, 0};
    flip_cached(state);
    for (size_t i = 0; i < state->heaps.used; i++)
        add(&sum, of_heap((Heap *)state->heaps.rows + i, tuning, pagemap, state->page));
    flip_cached(state);
    return sum;
}

void heaps_reset(Heaps *state)
{
    tcache_reset(&state->cache);
    for (size_t n = 0; n < state->heaps.used; n++) {
        Heap *heap = (Heap *)state->heaps.rows + n;
        for (size_t i = 0; i < groups_of(heap); i++)
            for (; heap->groups[i]; heap->groups[i] &= heap->groups[i] - 1) {
                size_t first = (i * WORD + (size_t)__builtin_ctzll(heap->groups[i])) * WORD;
                memset(heap->freed + first, 0, WORD * sizeof(uint64_t));
            }
    }
}

void heaps_close(Heaps *state)
{
    for (size_t i = 0; i < state->heaps.used; i++) {
        Heap *heap = (Heap *)state->heaps.rows + i;
        memory_unmap(heap->freed, words_of(heap) * sizeof(uint64_t));
        memory_unmap(heap->groups, groups_of(heap) * sizeof(uint64_t));
        memory_unmap(heap->resident, pages_words(heap, state->page) * sizeof(uint64_t));
    }
    table_close(&state->heaps);
}
