#define _GNU_SOURCE
#include "segments.h"

#include <link.h>

typedef struct {
    uintptr_t inside;
    Word *word;
    void *context;
    const uintptr_t *found;
} Search;

static int holds(const struct dl_phdr_info *library, uintptr_t address)
{
    for (int i = 0; i < library->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &library->dlpi_phdr[i];
        uintptr_t start = library->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_LOAD && address >= start && address - start < part->p_memsz)
            return 1;
    }
    return 0;
}

static void look(Search *search, uintptr_t start, uintptr_t end)
{
    start = (start + sizeof(uintptr_t) - 1) & ~(sizeof(uintptr_t) - 1);
    for (const uintptr_t *word = (const uintptr_t *)start; (uintptr_t)(word + 1) <= end; word++) {
        if (search->word(word, (end - (uintptr_t)word) / sizeof(*word), search->context)) {
            search->found = word;
            return;
        }
    }
}

static int library(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    Search *search = context;
    if (!holds(info, search->inside))
        return 0;
    for (int i = 0; i < info->dlpi_phnum && search->found == NULL; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_LOAD && (part->p_flags & PF_W))
            look(search, start, start + part->p_memsz);
    }
    return 1;
}

const uintptr_t *segments_find(const void *inside, Word *word, void *context)
{
    Search search = {(uintptr_t)inside, word, context, NULL};
    dl_iterate_phdr(library, &search);
    return search.found;
}
