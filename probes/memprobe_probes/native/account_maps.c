/* What is mapped for itself: large pieces of malloc's, stacks of threads, other allocators. */
#include "account.h"
#include "chunk.h"

enum {
    STACK_TOP = 64 << 10, /* bytes below a stack's end in which its thread is described */
    MOST_SCANNED = 32 << 20, /* bytes of an allocator's own tables */
    ROUNDS = 4,
};
/* Where mimalloc asks for its arenas: between 2 and 30 TiB nothing else is put. */
#define MIMALLOC_FROM (UINT64_C(2) << 40)
#define MIMALLOC_TO (UINT64_C(30) << 40)

/* A piece of anonymous memory of which nothing is known yet. */
typedef struct {
    uintptr_t start, end;
    uint64_t resident;
    uint32_t library, scanned;
} Gap;

/* struct pthread begins with its own address, twice. */
static int describes_thread(Account *account, uintptr_t place)
{
    uint64_t first, again;
    return source_word(&account->source, place, &first) && first == place &&
           source_word(&account->source, place + 16, &again) && again == place;
}

static int is_stack(Account *account, const Region *row, const Region *before)
{
    if (!before->guard || before->end != row->start)
        return 0;
    uintptr_t end = row->end - 64;
    uintptr_t start = row->end - row->start > STACK_TOP ? row->end - STACK_TOP : row->start;
    for (uintptr_t place = start; place < end; place += 64)
        if (describes_thread(account, place))
            return 1;
    return 0;
}

static int add_gap(Table *gaps, Account *account, uintptr_t start, uintptr_t end)
{
    uint64_t resident = pages_in(&account->pages, start, end);
    if (!resident)
        return 0;
    if (table_make_room(gaps, 1))
        return -1;
    ((Gap *)gaps->rows)[gaps->used++] = (Gap){start, end, resident, LIBRARY_NONE, 0};
    return 0;
}

/* Whether malloc mapped a piece for itself that begins with a page; tells where it ends. */
static uintptr_t mapped_chunk(Account *account, uintptr_t page, uintptr_t end)
{
    uint64_t before, size;
    if (!source_word(&account->source, page, &before) ||
        !source_word(&account->source, page + 8, &size))
        return 0;
    uint64_t bytes = (size & ~UINT64_C(7)) + before;
    if ((size & 7) != CHUNK_MAPPED || before || bytes < account->pages.page ||
        bytes % account->pages.page || bytes > end - page)
        return 0;
    return page + bytes;
}

/* One that was asked for at a multiple of more than 16: its header lies further in, before what is
   known to be somebody's. */
static uintptr_t aligned_chunk(Account *account, uintptr_t page, uintptr_t end)
{
    const Claim *given = account_given_in(account, page, end);
    uint64_t before, size;
    if (given == NULL || given->address - page >= account->pages.page || given->address % 16 ||
        given->address - page < CHUNK_HEADER ||
        !source_word(&account->source, given->address - 16, &before) ||
        !source_word(&account->source, given->address - 8, &size) || (size & 7) != CHUNK_MAPPED)
        return 0;
    uint64_t bytes = (size & ~UINT64_C(7)) + before;
    return before == given->address - 16 - page && bytes <= end - page ? page + bytes : 0;
}

static void take_chunk(Account *account, uintptr_t start, uintptr_t end)
{
    account_add(account, account_bucket(account, start + CHUNK_HEADER, end), start, end);
}

/* Looks through a piece of memory page by page for what malloc mapped; the rest is put aside. */
static void look_through(Account *account, Table *gaps, uintptr_t start, uintptr_t end)
{
    uintptr_t left = start;
    for (uintptr_t page = start; page < end;) {
        if (!pages_in(&account->pages, page, page + 8)) {
            page += account->pages.page;
            continue;
        }
        uintptr_t stop = mapped_chunk(account, page, end);
        stop = stop ? stop : aligned_chunk(account, page, end);
        if (!stop) {
            page += account->pages.page;
            continue;
        }
        add_gap(gaps, account, left, page);
        take_chunk(account, page, stop);
        left = page = stop;
    }
    add_gap(gaps, account, left, end);
}

/* Anonymous memory side by side is one run, however it is cut into mappings: numpy's advice on huge
   pages splits them. What was looked at before is left out. */
static void look_through_run(Account *account, Table *gaps, uintptr_t start, uintptr_t end,
                             size_t *at)
{
    const Span *spans = account->covered.rows;
    while (*at < account->covered.used && spans[*at].end <= start)
        ++*at;
    while (start < end) {
        uintptr_t stop = *at < account->covered.used && spans[*at].start < end ? spans[*at].start
                                                                               : end;
        if (stop > start)
            look_through(account, gaps, start, stop);
        start = stop < end ? spans[(*at)++].end : end;
    }
}

static void cover_stacks(Account *account)
{
    for (size_t at = 1; at < account->regions.rows.used; at++) {
        Region *row = regions_row(&account->regions, at);
        if (!row->plain || row->heap || !is_stack(account, row, regions_row(&account->regions, at - 1)))
            continue;
        row->rest = BUCKET_STACKS;
        account_cover(account, row->start, row->end);
    }
}

/* The variables of a library that were zero at first lie right behind the others. */
static void cover_variables(Account *account)
{
    for (size_t at = 1; at < account->regions.rows.used; at++) {
        Region *row = regions_row(&account->regions, at);
        const Region *before = regions_row(&account->regions, at - 1);
        if (!row->plain || row->heap || !before->writable || !before->library ||
            before->end != row->start || before->rest != BUCKET_LIBRARIES)
            continue;
        row->library = before->library;
        row->rest = BUCKET_LIBRARIES;
    }
}

/* What a JVM told of itself: its parts are looked at as a whole. */
static void cover_parts(Account *account)
{
    const Claim *given = account->given.rows;
    for (size_t at = 0; at < account->given.used; at++) {
        if (given[at].bucket < BUCKET_HEAP)
            continue;
        uintptr_t end = given[at].address + given[at].bytes;
        for (size_t row = regions_after(&account->regions, given[at].address);
             row < account->regions.rows.used; row++) {
            const Region *region = regions_row(&account->regions, row);
            if (region->start >= end)
                break;
            if (!region->plain || !region->rss)
                continue;
            uintptr_t from = region->start > given[at].address ? region->start : given[at].address;
            uintptr_t to = region->end < end ? region->end : end;
            account_add(account, given[at].bucket, from, to);
            account_cover(account, from, to);
        }
    }
}

static void find_gaps(Account *account, Table *gaps)
{
    size_t covered = 0, at = 0, count = account->regions.rows.used;
    while (at < count) {
        const Region *row = regions_row(&account->regions, at);
        uintptr_t start = row->start, end = row->end;
        if (!account_in_time(account))
            return;
        if (!row->plain || row->heap) {
            at++;
            continue;
        }
        for (at++; at < count; at++) {
            row = regions_row(&account->regions, at);
            if (!row->plain || row->heap || row->start != end)
                break;
            end = row->end;
        }
        look_through_run(account, gaps, start, end, &covered);
    }
}

static Gap *gap_at(const Table *gaps, uintptr_t address)
{
    Gap *rows = gaps->rows;
    size_t low = 0, high = gaps->used;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (rows[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < gaps->used && rows[low].start <= address ? &rows[low] : NULL;
}

/* Whoever's variables or tables point into a gap has it. */
static size_t follow(Account *account, Table *gaps, uintptr_t start, uintptr_t end, uint32_t library)
{
    const Gap *rows = gaps->rows;
    uintptr_t low = rows[0].start, high = rows[gaps->used - 1].end;
    uint64_t word;
    size_t found = 0;
    for (uintptr_t place = start; place + 8 <= end; place += 8) {
        if (place % account->pages.page == 0 && !pages_in(&account->pages, place, place + 8)) {
            if (gap_at(gaps, place) != NULL) { /* never touched */
                place += account->pages.page - 8;
                continue;
            }
        }
        if (!source_word(&account->source, place, &word) || word < low || word >= high)
            continue;
        Gap *gap = gap_at(gaps, word);
        if (gap == NULL || gap->library)
            continue;
        gap->library = library;
        found++;
    }
    return found;
}

static void follow_variables(Account *account, Table *gaps, int special)
{
    for (size_t at = 0; at < account->regions.rows.used; at++) {
        const Region *row = regions_row(&account->regions, at);
        int is_special = row->library && row->library != LIBRARY_OTHER &&
                         row->library != LIBRARY_PYTHON;
        if (!row->library || !row->writable || is_special != special || !row->rss)
            continue;
        if (!account_in_time(account))
            return;
        follow(account, gaps, row->start, row->end, row->library);
    }
}

static void follow_tables(Account *account, Table *gaps)
{
    for (int round = 0; round < ROUNDS; round++) {
        size_t found = 0;
        for (size_t at = 0; at < gaps->used && account_in_time(account); at++) {
            Gap *gap = (Gap *)gaps->rows + at;
            if (!gap->library || gap->scanned)
                continue;
            gap->scanned = 1;
            uintptr_t end = gap->end - gap->start > MOST_SCANNED ? gap->start + MOST_SCANNED : gap->end;
            found += follow(account, gaps, gap->start, end, gap->library);
        }
        if (!found)
            return;
    }
}

static uint64_t free_of(uint32_t library)
{
    switch (library) {
    case LIBRARY_ARROW: return BUCKET_ARROW_FREE;
    case LIBRARY_POLARS: return BUCKET_POLARS_FREE;
    case LIBRARY_NONE: return BUCKET_UNKNOWN;
    default: return BUCKET_NATIVE;
    }
}

/* What adapters know of a gap is theirs; the rest is its allocator's. */
static void take_gap(Account *account, const Gap *gap)
{
    uintptr_t start = gap->start;
    uint64_t rest = free_of(gap->library);
    const Claim *given;
    while (start < gap->end && gap->library != LIBRARY_ARROW &&
           (given = account_given_in(account, start, gap->end)) != NULL) {
        uintptr_t from = given->address > start ? given->address : start;
        uintptr_t to = given->address + given->bytes < gap->end ? given->address + given->bytes
                                                                : gap->end;
        account_add(account, rest, start, from);
        account_add(account, given->bucket, from, to);
        start = to;
    }
    if (rest != BUCKET_UNKNOWN)
        account_add(account, rest, start, gap->end);
}

/* Of Arrow's pool it is known how much of it is in use, and not where. */
static void take_arrow(Account *account, const Gap *gap)
{
    uint64_t live = gap->resident < account->arrow_live ? gap->resident : account->arrow_live;
    if (account->arrow_live == UINT64_MAX) {
        account_add(account, BUCKET_NATIVE, gap->start, gap->end);
        return;
    }
    account->arrow_live -= live;
    account_add_part(account, BUCKET_ARROW, gap->start, live);
    account_add_part(account, BUCKET_ARROW_FREE, gap->start, gap->resident - live);
}

static void find_owners(Account *account, Table *gaps)
{
    int has_arrow = 0;
    for (size_t at = 0; at < account->regions.rows.used; at++)
        has_arrow |= regions_row(&account->regions, at)->library == LIBRARY_ARROW;
    for (size_t at = 0; at < gaps->used; at++) {
        Gap *gap = (Gap *)gaps->rows + at;
        const Claim *given = account_given_in(account, gap->start, gap->end);
        if (has_arrow && gap->start >= MIMALLOC_FROM && gap->start < MIMALLOC_TO)
            gap->library = LIBRARY_ARROW;
        else if (given && given->bucket == BUCKET_POLARS)
            gap->library = LIBRARY_POLARS;
        else if (given && given->bucket == BUCKET_ARROW)
            gap->library = LIBRARY_ARROW;
    }
    follow_variables(account, gaps, 1);
    follow_tables(account, gaps);
    follow_variables(account, gaps, 0);
}

/* A gap in what lies behind a library's variables belongs to these. */
static int is_variables(Account *account, const Gap *gap)
{
    const Region *row = regions_row(&account->regions, regions_after(&account->regions, gap->start));
    return row->rest == BUCKET_LIBRARIES;
}

void account_maps(Account *account)
{
    Table gaps = {0};
    if (table_open(&gaps, sizeof(Gap), 4096))
        return;
    cover_stacks(account);
    cover_variables(account);
    cover_parts(account);
    account_sort_covered(account);
    find_gaps(account, &gaps);
    if (gaps.used)
        find_owners(account, &gaps);
    for (size_t at = 0; at < gaps.used; at++) {
        const Gap *gap = (Gap *)gaps.rows + at;
        if (is_variables(account, gap))
            continue;
        if (gap->library == LIBRARY_ARROW)
            take_arrow(account, gap);
        else
            take_gap(account, gap);
    }
    table_close(&gaps);
}
