#define _GNU_SOURCE
#include "tuning.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "segments.h"

enum {
    FIRST = 128 << 10, /* glibc's first threshold and its pad */
    MOST = 32 << 20,   /* DEFAULT_MMAP_THRESHOLD_MAX on 64 bits: above it nothing is followed */
    LEAST_WORDS = 16,
};

static const uintptr_t *parameters; /* struct malloc_par; NULL: not found */
static char reason_buffer[160];

/* trim_threshold, top_pad, mmap_threshold, arena_test (8), arena_max (0) */
static int is_parameters(const uintptr_t *word, size_t words_after, void *context)
{
    (void)context;
    if (words_after < LEAST_WORDS || word[1] != FIRST || word[3] != 8 || word[4] != 0)
        return 0;
    int untouched = word[0] == FIRST && word[2] == FIRST;
    return untouched || (word[2] >= FIRST && word[2] <= MOST && word[0] == word[2] * 2);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int is_glibc(const char *library)
{
    return dlsym(RTLD_DEFAULT, "gnu_get_libc_version") != NULL &&
           (strncmp(library, "libc.so.6", 9) == 0 || strncmp(library, "libc-2.", 7) == 0);
}

int tuning_prepare(const char **reason)
{
    void *allocate = dlsym(RTLD_DEFAULT, "malloc");
    Dl_info info;
    const char *library = allocate && dladdr(allocate, &info) ? base_name(info.dli_fname) : "?";
    if (!is_glibc(library)) {
        strcpy(reason_buffer, "malloc is not glibc's but of ");
        strncat(reason_buffer, library, 100);
        *reason = reason_buffer;
        return -1;
    }
    parameters = segments_find(allocate, is_parameters, NULL);
    return 0;
}

Tuning tuning_now(void)
{
    if (parameters == NULL)
        return (Tuning){FIRST, FIRST, FIRST};
    return (Tuning){parameters[0], parameters[1], parameters[2]};
}

void tuning_freed(Tuning *tuning, uint64_t mapped)
{
    if (mapped <= tuning->mmap_threshold || mapped > MOST)
        return;
    tuning->mmap_threshold = mapped;
    tuning->trim_threshold = mapped * 2;
}
