#include "shadow.h"

enum { SLOTS = 256, FIRST_PAGES = 1 << 12, FIRST_ODD = 1 << 12 };

static size_t spread(uintptr_t key)
{
    return (size_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 20);
}

int shadow_open(Shadow *shadow)
{
    shadow->last_page = 0;
    shadow->last_block = 0;
    if (table_open(&shadow->pages, sizeof(ShadowPage), FIRST_PAGES) ||
        table_open(&shadow->blocks, SLOTS * sizeof(uint32_t), FIRST_PAGES) ||
        table_open(&shadow->odd, sizeof(ShadowOdd), FIRST_ODD))
        return -1;
    shadow->blocks.used = 1;
    return 0;
}

void shadow_close(Shadow *shadow)
{
    table_close(&shadow->pages);
    table_close(&shadow->blocks);
    table_close(&shadow->odd);
}

static ShadowPage *page_place(const Table *pages, uintptr_t page)
{
    ShadowPage *rows = pages->rows;
    size_t mask = pages->room - 1, at = spread(page) & mask;
    while (rows[at].block && rows[at].page != page)
        at = (at + 1) & mask;
    return rows + at;
}

static ShadowOdd *odd_place(const Table *odd, uintptr_t key)
{
    ShadowOdd *rows = odd->rows;
    size_t mask = odd->room - 1, at = spread(key) & mask;
    while (rows[at].key && rows[at].key != key)
        at = (at + 1) & mask;
    return rows + at;
}

static int widen_pages(Shadow *shadow)
{
    Table wider;
    if (table_open(&wider, sizeof(ShadowPage), shadow->pages.room * 2))
        return -1;
    ShadowPage *rows = shadow->pages.rows;
    for (size_t at = 0; at < shadow->pages.room; at++)
        if (rows[at].block)
            *page_place(&wider, rows[at].page) = rows[at];
    wider.used = shadow->pages.used;
    table_close(&shadow->pages);
    shadow->pages = wider;
    return 0;
}

static int widen_odd(Shadow *shadow)
{
    Table wider;
    if (table_open(&wider, sizeof(ShadowOdd), shadow->odd.room * 2))
        return -1;
    ShadowOdd *rows = shadow->odd.rows;
    for (size_t at = 0; at < shadow->odd.room; at++)
        if (rows[at].key)
            *odd_place(&wider, rows[at].key) = rows[at];
    wider.used = shadow->odd.used;
    table_close(&shadow->odd);
    shadow->odd = wider;
    return 0;
}

static uint32_t *slot(const Shadow *shadow, uint32_t block, uintptr_t key)
{
    return (uint32_t *)shadow->blocks.rows + (size_t)block * SLOTS + ((key >> 4) & (SLOTS - 1));
}

static uint32_t *odd_slot(Shadow *shadow, uintptr_t key)
{
    if (shadow->odd.used * 2 > shadow->odd.room && widen_odd(shadow))
        return NULL;
    ShadowOdd *place = odd_place(&shadow->odd, key);
    if (!place->key) {
        place->key = key;
        shadow->odd.used++;
    }
    return &place->value;
}

uint32_t *shadow_place(Shadow *shadow, const void *address)
{
    uintptr_t key = (uintptr_t)address, page = key >> 12;
    if (key & 15)
        return odd_slot(shadow, key);
    if (page == shadow->last_page && shadow->last_block)
        return slot(shadow, shadow->last_block, key);
    if (shadow->pages.used * 2 > shadow->pages.room && widen_pages(shadow))
        return NULL;
    ShadowPage *place = page_place(&shadow->pages, page);
    if (!place->block) {
        if (table_make_room(&shadow->blocks, 1))
            return NULL;
        place->page = page;
        place->block = (uint32_t)shadow->blocks.used++;
        shadow->pages.used++;
    }
    shadow->last_page = page;
    shadow->last_block = place->block;
    return slot(shadow, place->block, key);
}

uint32_t shadow_find(const Shadow *shadow, const void *address)
{
    uintptr_t key = (uintptr_t)address;
    if (key & 15) {
        const ShadowOdd *place = odd_place(&shadow->odd, key);
        return place->key ? place->value : 0;
    }
    const ShadowPage *place = page_place(&shadow->pages, key >> 12);
    return place->block ? *slot(shadow, place->block, key) : 0;
}
