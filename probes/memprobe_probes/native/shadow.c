#include "shadow.h"

enum { SLOTS = 256, PAGES = 512, FIRST_REGIONS = 1 << 10, FIRST_ROWS = 1 << 6 };
enum { FIRST_BLOCKS = 1 << 12, FIRST_ODD = 1 << 12 };
enum { REGION_BITS = 21, PAGE_BITS = 12, SLOT_BITS = 4 };

static size_t spread(uintptr_t key)
{
    return (size_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 20);
}

int shadow_open(Shadow *shadow)
{
    shadow->last_key = 0;
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

static ShadowPlace locate_odd(Shadow *shadow, uintptr_t key)
{
    if (shadow->odd.used * 2 > shadow->odd.room && widen_odd(shadow))
        return SHADOW_NONE;
    ShadowOdd *place = odd_place(&shadow->odd, key);
    shadow->odd.used += !place->key;
    place->key = key;
    return SHADOW_ODD;
}

/* Makes the region of an address the last one. */
static int find_region(Shadow *shadow, uintptr_t key)
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
    shadow->last_key = key;
    shadow->last_blocks = place->blocks;
    return 0;
}

ShadowPlace shadow_locate(Shadow *shadow, const void *object)
{
    uintptr_t address = (uintptr_t)object, key = region_of(address);
    if (address & 15)
        return locate_odd(shadow, address);
    if (key != shadow->last_key && find_region(shadow, key))
        return SHADOW_NONE;
    uint32_t *block = block_of(shadow, shadow->last_blocks, address);
    if (!*block) {
        if (table_make_room(&shadow->blocks, 1))
            return SHADOW_NONE;
        *block = (uint32_t)shadow->blocks.used++;
    }
    return slot_in(*block, address);
}

uint32_t *shadow_at(const Shadow *shadow, ShadowPlace place, const void *address)
{
    if (place == SHADOW_ODD)
        return &odd_place(&shadow->odd, (uintptr_t)address)->value;
    return (uint32_t *)shadow->blocks.rows + place;
}

uint32_t *shadow_place(Shadow *shadow, const void *address)
{
    ShadowPlace place = shadow_locate(shadow, address);
    return place == SHADOW_NONE ? NULL : shadow_at(shadow, place, address);
}

uint32_t shadow_find(const Shadow *shadow, const void *object)
{
    uintptr_t address = (uintptr_t)object;
    if (address & 15) {
        const ShadowOdd *place = odd_place(&shadow->odd, address);
        return place->key ? place->value : 0;
    }
    const ShadowRegion *region = region_place(&shadow->regions, region_of(address));
    uint32_t block = region->key ? *block_of(shadow, region->blocks, address) : 0;
    return block ? ((uint32_t *)shadow->blocks.rows)[slot_in(block, address)] : 0;
}
