/* Memory of libraries that Python objects lead to: from word to word, as a conservative collector
   goes. Only words that are the very address of a piece of malloc's in use count. */
#include "account.h"
#include "chunk.h"

enum {
    MOST_PENDING = 1 << 22,
    MOST_SCANNED = 64 << 10, /* bytes of one piece: large ones are plain data */
    EVERY = 1 << 12          /* pieces between two looks at the clock */
};

void account_want(Account *account, uintptr_t data, uintptr_t end)
{
    Claim claim = {data, end - data, BUCKET_MALLOC};
    if (account_put(&account->wanted, &claim))
        account->shortened++;
}

void account_look_behind(Account *account, uintptr_t start, uintptr_t end)
{
    if (account->pending.used < MOST_PENDING && table_make_room(&account->pending, 1) == 0)
        ((Span *)account->pending.rows)[account->pending.used++] = (Span){start, end};
}

/* One that malloc mapped for itself: 16 bytes behind the begin of a page. */
static uintptr_t mapped_end(Account *account, uint64_t data)
{
    uintptr_t page = account->pages.page;
    uint64_t before, size;
    if (data % page != CHUNK_HEADER ||
        !source_word(&account->source, data - 16, &before) || before ||
        !source_word(&account->source, data - 8, &size) || (size & 7) != CHUNK_MAPPED)
        return 0;
    uint64_t bytes = size & ~UINT64_C(7);
    return bytes >= page && bytes % page == 0 &&
                   maps_plain(&account->source.maps, data - 16, bytes)
               ? data - 16 + bytes
               : 0;
}

static void follow(Account *account, uint64_t word)
{
    if (word < 4096 || word % 16 || word >> 47)
        return;
    const Claim *wanted = account_at(&account->wanted, word);
    uintptr_t end = wanted ? word + wanted->bytes : mapped_end(account, word);
    if (!end || account_claimed(account, word) != NULL)
        return;
    account_claim(account, word, BUCKET_BEHIND);
    account_look_behind(account, word, end);
}

void account_mark(Account *account)
{
    for (size_t count = 1; account->pending.used; count++) {
        Span span = ((Span *)account->pending.rows)[--account->pending.used];
        uint64_t word;
        if (count % EVERY == 0 && !account_in_time(account))
            return;
        if (span.end - span.start > MOST_SCANNED)
            span.end = span.start + MOST_SCANNED;
        for (uintptr_t place = span.start; place + 8 <= span.end; place += 8)
            if (source_word(&account->source, place, &word))
                follow(account, word);
    }
}
