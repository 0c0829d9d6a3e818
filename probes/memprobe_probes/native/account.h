/* The memory account: every resident byte of a process in one bucket.

   It reads a process whose memory stands still (a copy of this one), or another one from outside
   while it runs on. Nothing is written, no function of Python's or malloc's is called. */
#ifndef MEMPROBE_ACCOUNT_H
#define MEMPROBE_ACCOUNT_H

#include "classes.h"
#include "pages.h"
#include "regions.h"

/* Memory whose owner is known, by address. */
typedef struct {
    uintptr_t address;
    uint64_t bytes; /* 0: of a piece of malloc's that begins there, all of it */
    uint64_t bucket;
} Claim;

typedef struct {
    uintptr_t start, end;
} Span;

typedef struct {
    Source source;
    Classes classes;
    Regions regions;
    Pages pages;
    Table claims;   /* Claim, open addressing by address */
    Table given;    /* Claim, by address: what adapters told */
    Table wanted;   /* Claim, open addressing: pieces of malloc's that nobody has claimed yet */
    Table pending;  /* Span: memory whose words may refer to those */
    Table covered;  /* Span: what was looked at piece by piece; sorted at times */
    Table arenas;   /* uintptr_t: where those of Python's own allocator begin, sorted */
    int python; /* it runs Python: there are objects */
    uintptr_t last_arena; /* the one in which an address was found last, 0: none yet */
    uint64_t live_blocks; /* of Python's own allocator */
    uint64_t pool_bytes;  /* in use of it */
    uint64_t trimmable;
    uint64_t arrow_live;  /* bytes that Arrow's pool says are in use; UINT64_MAX: not told */
    uint64_t deadline;    /* ns */
    uint64_t shortened;   /* parts that were left out for want of time or sense */
    uintptr_t arenas_place; /* of the runtime's variable; 0: to be looked for */
} Account;

/* What was found. */
typedef struct {
    uint64_t rss, pss, swap, anonymous, trimmable, live_blocks, pool_bytes, shortened, how, took;
    uint64_t buckets[BUCKETS];
} Balance;
enum { BALANCE_WORDS = sizeof(Balance) / 8 };

/* `pid` 0: this process. `smaps`: an open file, which may be another process's that this is a copy
   of. Returns 0, or -1. */
int account_open(Account *account, pid_t pid, int smaps);

/* Pairs of three words: address, bytes, bucket. */
int account_give(Account *account, const uint64_t *words, size_t count);

void account_take(Account *account, Balance *balance);
void account_close(Account *account);

/* For the parts of it. */
int account_put(Table *claims, const Claim *claim);
const Claim *account_at(const Table *claims, uintptr_t address);
void account_claim(Account *account, uintptr_t address, uint64_t bucket);
static inline const Claim *account_claimed(const Account *account, uintptr_t address)
{
    return account_at(&account->claims, address);
}
const Claim *account_given_in(const Account *account, uintptr_t start, uintptr_t end);
void account_add(Account *account, uint64_t bucket, uintptr_t start, uintptr_t end);
void account_add_part(Account *account, uint64_t bucket, uintptr_t start, uint64_t bytes);
void account_cover(Account *account, uintptr_t start, uintptr_t end);
void account_sort_covered(Account *account);
int account_in_time(Account *account);
int account_in_arena(Account *account, uintptr_t address);
/* Returns the bucket of a piece of malloc's in use. */
uint64_t account_bucket(Account *account, uintptr_t data, uintptr_t end);
Class account_object(Account *account, const uint64_t *words, size_t count);

/* What objects of libraries refer to is behind them: account_want says what may be, account_mark
   follows the words in `pending`. */
void account_want(Account *account, uintptr_t data, uintptr_t end);
void account_look_behind(Account *account, uintptr_t start, uintptr_t end);
void account_mark(Account *account);

void account_pools(Account *account);
void account_heaps(Account *account);
void account_maps(Account *account);

#endif
