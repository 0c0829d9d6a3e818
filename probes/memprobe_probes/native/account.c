#define _GNU_SOURCE
#include "account.h"

#include <string.h>
#include <time.h>

#include "order.h"

enum { LONGEST = 2 /* seconds */, LONGEST_IN_COPY = 5, LOOKED_AT = 12 /* words of a piece of memory */ };

/* In a copy, which has so much time and no more, by the clock on the wall; from outside by the work
   that it is: a busy machine is no reason to leave anything out. */
static uint64_t read_clock(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

static uint64_t now(const Account *account)
{
    return read_clock(account->source.pid ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC);
}

int account_in_time(Account *account)
{
    if (now(account) < account->deadline)
        return 1;
    account->shortened++;
    return 0;
}

int account_open(Account *account, pid_t pid, int smaps)
{
    memset(account, 0, sizeof *account);
    account->arrow_live = UINT64_MAX;
    account->pages.file = -1;
    if (regions_open(&account->regions, smaps) == 0 && source_open(&account->source, pid) == 0 &&
        classes_open(&account->classes, &account->source) == 0 &&
        table_open(&account->claims, sizeof(Claim), 1 << 16) == 0 &&
        table_open(&account->given, sizeof(Claim), 1024) == 0 &&
        table_open(&account->wanted, sizeof(Claim), 1 << 14) == 0 &&
        table_open(&account->pending, sizeof(Span), 1 << 12) == 0 &&
        table_open(&account->covered, sizeof(Span), 4096) == 0)
        return 0;
    account_close(account);
    return -1;
}

void account_close(Account *account)
{
    Table *tables[] = {&account->claims, &account->given,   &account->wanted,
                       &account->pending, &account->covered, &account->arenas};
    for (size_t at = 0; at < sizeof tables / sizeof *tables; at++)
        table_close(tables[at]);
    classes_close(&account->classes);
    pages_close(&account->pages);
    source_close(&account->source);
    regions_close(&account->regions);
}

static size_t place_of(const Table *claims, uintptr_t address)
{
    return (size_t)(address * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (claims->room - 1);
}

static void put(Table *claims, const Claim *claim)
{
    Claim *rows = claims->rows;
    size_t place = place_of(claims, claim->address);
    while (rows[place].address && rows[place].address != claim->address)
        place = (place + 1) & (claims->room - 1);
    claims->used += rows[place].address == 0;
    rows[place] = *claim;
}

static int widen(Table *claims)
{
    Table wider;
    if (table_open(&wider, sizeof(Claim), claims->room * 2))
        return -1;
    for (size_t at = 0; at < claims->room; at++)
        if (((Claim *)claims->rows)[at].address)
            put(&wider, (Claim *)claims->rows + at);
    table_close(claims);
    *claims = wider;
    return 0;
}

int account_put(Table *claims, const Claim *claim)
{
    if (claims->used * 2 >= claims->room && widen(claims))
        return -1;
    put(claims, claim);
    return 0;
}

void account_claim(Account *account, uintptr_t address, uint64_t bucket)
{
    Claim claim = {address, 0, bucket};
    if (address >= 4096 && address % 8 == 0 && account_put(&account->claims, &claim))
        account->shortened++;
}

const Claim *account_at(const Table *claims, uintptr_t address)
{
    const Claim *rows = claims->rows;
    size_t place = place_of(claims, address);
    for (; rows[place].address; place = (place + 1) & (claims->room - 1))
        if (rows[place].address == address)
            return &rows[place];
    return NULL;
}

/* Sorted, and cut where one begins within another. */
int account_give(Account *account, const uint64_t *words, size_t count)
{
    Table *given = &account->given;
    for (size_t at = 0; at + 2 < count; at += 3) {
        if (words[at + 2] >= BUCKETS || !words[at] || !words[at + 1] ||
            words[at] + words[at + 1] < words[at])
            continue;
        if (table_make_room(given, 1))
            return -1;
        ((Claim *)given->rows)[given->used++] = (Claim){words[at], words[at + 1], words[at + 2]};
    }
    Claim *rows = given->rows;
    size_t kept = 0;
    order(rows, given->used, sizeof(Claim) / 8);
    for (size_t at = 0; at < given->used; at++) {
        uintptr_t end = kept ? rows[kept - 1].address + rows[kept - 1].bytes : 0;
        uintptr_t stop = rows[at].address + rows[at].bytes;
        if (stop <= end)
            continue;
        uintptr_t start = rows[at].address > end ? rows[at].address : end;
        rows[kept++] = (Claim){start, stop - start, rows[at].bucket};
    }
    given->used = kept;
    return 0;
}

/* Returns the first one that ends behind `start`, where it begins before `end`. */
const Claim *account_given_in(const Account *account, uintptr_t start, uintptr_t end)
{
    const Claim *rows = account->given.rows;
    size_t low = 0, high = account->given.used;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (rows[middle].address + rows[middle].bytes <= start)
            low = middle + 1;
        else
            high = middle;
    }
    return low < account->given.used && rows[low].address < end ? &rows[low] : NULL;
}

void account_add(Account *account, uint64_t bucket, uintptr_t start, uintptr_t end)
{
    for (size_t at = regions_after(&account->regions, start);
         at < account->regions.rows.used && start < end; at++) {
        Region *row = regions_row(&account->regions, at);
        start = row->start > start ? row->start : start;
        if (start >= end)
            return;
        uintptr_t stop = row->end < end ? row->end : end;
        uint64_t bytes = pages_in(&account->pages, start, stop);
        row->in[bucket] += bytes;
        row->told += bytes;
        start = stop;
    }
}

/* Adds bytes that are known to be there, of the region that an address lies in. */
void account_add_part(Account *account, uint64_t bucket, uintptr_t start, uint64_t bytes)
{
    size_t at = regions_after(&account->regions, start);
    if (at >= account->regions.rows.used)
        return;
    regions_row(&account->regions, at)->in[bucket] += bytes;
    regions_row(&account->regions, at)->told += bytes;
}

void account_cover(Account *account, uintptr_t start, uintptr_t end)
{
    if (end > start && table_make_room(&account->covered, 1) == 0)
        ((Span *)account->covered.rows)[account->covered.used++] = (Span){start, end};
}

void account_sort_covered(Account *account)
{
    order(account->covered.rows, account->covered.used, sizeof(Span) / 8);
}

/* Where an object's own memory lies, by word of the object; 0: it has none. */
static void claim_words(Account *account, const uint64_t *object, size_t count, Class class)
{
    static const uint8_t places[][2] = {
        [CLASS_LIST] = {3, 0}, [CLASS_DICT] = {4, 5}, [CLASS_SET] = {5, 0},
        [CLASS_BYTEARRAY] = {4, 0}, [CLASS_ARRAY] = {3, 0}, [CLASS_DEQUE] = {3, 4},
    };
    if (class == CLASS_NDARRAY) {
        if (count > 6 && object[6] == 0) /* no base: the memory is its own */
            account_claim(account, object[2], BUCKET_ARRAYS);
        return;
    }
    for (size_t at = 0; at < 2 && class < sizeof places / sizeof *places; at++)
        if (places[class][at] && places[class][at] < count &&
            !account_in_arena(account, object[places[class][at]]))
            account_claim(account, object[places[class][at]], BUCKET_PYTHON);
}

/* Whether a Python object lies in a piece of memory: at its begin, or behind what the collector and
   a managed dict put before it. What it has besides is claimed. */
Class account_object(Account *account, const uint64_t *words, size_t count)
{
    static const size_t befores[] = {0, 2, 4};
    for (size_t at = 0; at < sizeof befores / sizeof *befores; at++) {
        size_t before = befores[at];
        if (before + 2 > count)
            break;
        Class class = classes_at(&account->classes, words[before + 1]);
        if (class == CLASS_NONE)
            continue;
        if (class != CLASS_PLAIN && class != CLASS_NATIVE)
            claim_words(account, words + before, count - before, class);
        return class;
    }
    return CLASS_NONE;
}

/* Whoever refers to it; else the Python object that begins in it; else whose data an adapter says
   is in there. */
uint64_t account_bucket(Account *account, uintptr_t data, uintptr_t end)
{
    uint64_t words[LOOKED_AT] = {0};
    size_t count = account->python ? (end - data) / 8 : 0;
    const Claim *claim = account_claimed(account, data);
    if (claim != NULL)
        return claim->bucket;
    count = count < LOOKED_AT ? count : LOOKED_AT;
    for (size_t at = 0; at < count; at++)
        if (!source_word(&account->source, data + at * 8, &words[at]))
            count = at;
    if (account_object(account, words, count) != CLASS_NONE)
        return BUCKET_PYTHON;
    claim = account_given_in(account, data, end);
    return claim != NULL && claim->bucket < BUCKET_HEAP ? claim->bucket : BUCKET_MALLOC;
}

static void look_at_pages(Account *account)
{
    if (pages_open(&account->pages, account->source.pid))
        account->shortened++;
    for (size_t at = 0; at < account->regions.rows.used; at++) {
        Region *row = regions_row(&account->regions, at);
        if (row->plain && row->rss)
            pages_look(&account->pages, row->start, row->end);
    }
}

void account_take(Account *account, Balance *balance)
{
    uint64_t began = read_clock(CLOCK_MONOTONIC);
    account->deadline = now(account) + UINT64_C(1000000000) *
                                           (account->source.pid ? LONGEST : LONGEST_IN_COPY);
    look_at_pages(account);
    account_pools(account);
    account_heaps(account);
    account_maps(account);
    *balance = (Balance){
        .rss = account->regions.rss, .pss = account->regions.pss, .swap = account->regions.swap,
        .anonymous = account->regions.anonymous, .trimmable = account->trimmable,
        .live_blocks = account->live_blocks, .pool_bytes = account->pool_bytes,
        .shortened = account->shortened, .how = (uint64_t)account->pages.how,
    };
    regions_sum(&account->regions, balance->buckets);
    balance->took = read_clock(CLOCK_MONOTONIC) - began;
}
