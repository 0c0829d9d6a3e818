/* When glibc shrinks a heap: numbers that it changes while a program runs. */
#ifndef MEMPROBE_TUNING_H
#define MEMPROBE_TUNING_H

#include <stdint.h>

typedef struct {
    uint64_t trim_threshold; /* the free end of a heap goes back from so many bytes on */
    uint64_t top_pad;        /* but for so many */
    uint64_t mmap_threshold; /* from so many bytes on an allocation is mapped for itself */
} Tuning;

/* Once per process, outside of any clone. Returns 0, or -1 with the reason: malloc is not glibc's. */
int tuning_prepare(const char **reason);

/* What holds now; where glibc's variable was not found, what it begins with. */
Tuning tuning_now(void);

/* What holds once a mapped chunk of so many bytes is freed: the thresholds follow it. */
void tuning_freed(Tuning *tuning, uint64_t mapped);

#endif
