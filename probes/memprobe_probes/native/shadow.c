#include "shadow.h"

enum { SLOTS = 128, PAGES = 512, FIRST_REGIONS = 1 << 10, FIRST_ROWS = 1 << 6 };
enum { FIRST_BLOCKS = 1 << 12, FIRST_ODD = 1 << 12 };
enum { REGION_BITS = 21, PAGE_BITS = 12, SLOT_BITS = 5 };

static size_t spread(uintptr_t key)
{
    return (size_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 20);
}

int shadow_open(Shadow *shadow)
{
    for (size_t at = 0; at < SHADOW_RECENT; at++)
        shadow->recent[at].key = 0;
    if (table_open(&shadow->regions, sizeof(ShadowRegion), FIRST_REGIONS) ||
        table_open(&shadow->pages, PAGES * sizeof(uint32_t), FIRST_ROWS) ||
        table_open(&shadow->blocks, SLOTS * sizeof(uint32_t), FIRST_BLOCKS) ||
        table_open(&shadow->odd, sizeof(ShadowOdd), FIRST_ODD))
        return -1;
    shadow->blocks.used = 1;
    return 0;
}

void shadow_close(Shadow *shadow)
{
    table_close(&shadow->regions);
    table_close(&shadow->pages);
    table_close(&shadow->blocks);
    table_close(&shadow->odd);
}

static ShadowRegion *region_place(const Table *regions, uintptr_t key)
{
    ShadowRegion *rows = regions->rows;
    size_t mask = regions->room - 1, at = spread(key) & mask;
    while (rows[at].key && rows[at].key != key)
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

static int widen_regions(Shadow *shadow)
{
    Table wider;
    if (table_open(&wider, sizeof(ShadowRegion), shadow->regions.room * 2))
        return -1;
    ShadowRegion *rows = shadow->regions.rows;
    for (size_t at = 0; at < shadow->regions.room; at++)
        if (rows[at].key)
            *region_place(&wider, rows[at].key) = rows[at];
    wider.used = shadow->regions.used;
    table_close(&shadow->regions);
    shadow->regions = wider;
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

static uintptr_t region_of(uintptr_t address)
{
    return (address >> REGION_BITS) + 1;
}

static uint32_t *block_of(const Shadow *shadow, uint32_t blocks, uintptr_t address)
{
    return (uint32_t *)shadow->pages.rows + (size_t)blocks * PAGES +
           ((address >> PAGE_BITS) & (PAGES - 1));
}

static ShadowPlace slot_in(uint32_t block, uintptr_t address)
{
    return (ShadowPlace)block * SLOTS + ((address >> SLOT_BITS) & (SLOTS - 1));
}

/* Makes a region a recent one. */
static int recall(Shadow *shadow, uintptr_t key)
{
    if (shadow->regions.used * 2 > shadow->regions.room && widen_regions(shadow))
        return -1;
    ShadowRegion *place = region_place(&shadow->regions, key);
    if (!place->key) {
        if (table_make_room(&shadow->pages, 1))
            return -1;
        *place = (ShadowRegion){key, (uint32_t)shadow->pages.used++};
        shadow->regions.used++;
    }
    shadow->recent[key % SHADOW_RECENT] = *place;
    return 0;
}

static int new_block(Shadow *shadow, uint32_t *block)
{
    if (table_make_room(&shadow->blocks, 1))
        return -1;
    *block = (uint32_t)shadow->blocks.used++;
    return 0;
}

ShadowPlace shadow_locate(Shadow *shadow, const void *object)
{
    uintptr_t address = (uintptr_t)object, key = region_of(address);
    const ShadowRegion *region = &shadow->recent[key % SHADOW_RECENT];
    if (address & 15)
        return SHADOW_ODD;
    if (region->key != key && recall(shadow, key))
        return SHADOW_NONE;
    uint32_t *block = block_of(shadow, region->blocks, address);
    if (!*block && new_block(shadow, block))
        return SHADOW_NONE;
    return slot_in(*block, address);
}

uint32_t shadow_elsewhere(const Shadow *shadow, const void *address)
{
    const ShadowOdd *place = odd_place(&shadow->odd, (uintptr_t)address);
    return place->key ? place->value : 0;
}

static int set_elsewhere(Shadow *shadow, uintptr_t key, uint32_t number)
{
    if (shadow->odd.used * 2 > shadow->odd.room && widen_odd(shadow))
        return -1;
    ShadowOdd *place = odd_place(&shadow->odd, key);
    shadow->odd.used += !place->key;
    *place = (ShadowOdd){key, number};
    return 0;
}

int shadow_set(Shadow *shadow, ShadowPlace place, const void *address, uint32_t number)
{
    uint32_t half = (uintptr_t)address >> 4 & 1;
    uint32_t *kept = (uint32_t *)shadow->blocks.rows + place;
    if (place == SHADOW_ODD || (*kept && (*kept & 1) != half))
        return set_elsewhere(shadow, (uintptr_t)address, number);
    *kept = number << 1 | half;
    return 0;
}

uint32_t shadow_find(const Shadow *shadow, const void *object)
{
    uintptr_t address = (uintptr_t)object;
    if (address & 15)
        return shadow_elsewhere(shadow, object);
    const ShadowRegion *region = region_place(&shadow->regions, region_of(address));
    uint32_t block = region->key ? *block_of(shadow, region->blocks, address) : 0;
    return block ? shadow_get(shadow, slot_in(block, address), object) : 0;
}

uint32_t shadow_next(const Shadow *shadow, size_t *cursor)
{
    const uint32_t *places = shadow->blocks.rows;
    size_t end = shadow->blocks.used * SLOTS;
    for (; *cursor < end; ++*cursor)
        if (places[*cursor])
            return places[(*cursor)++] >> 1;
    const ShadowOdd *odd = shadow->odd.rows;
    for (; *cursor - end < shadow->odd.room; ++*cursor)
        if (odd[*cursor - end].value)
            return odd[(*cursor)++ - end].value;
    return 0;
}
