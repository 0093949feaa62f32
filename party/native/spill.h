/* Shares that lie in a file instead of the arena, row by row and encrypted. */
#ifndef KIT_SPILL_H
#define KIT_SPILL_H

#include <stdint.h>

#pragma GCC visibility push(default)

typedef struct kit_spill kit_spill;

/* One share: where it would lie in the arena, its rows and the bytes of one, and how many rows may
 * be put in all under one key, which is more where some are put twice. */
typedef struct {
    int64_t place;
    int64_t rows;
    int64_t width;
    int64_t capacity;
} kit_spilled;

/* `file` stays the caller's, is its alone, and has kit_spill_bytes. NULL when out of memory. */
kit_spill *kit_spill_new(int file, const kit_spilled *shares, int64_t count);
void kit_spill_free(kit_spill *spill);
int64_t kit_spill_bytes(const kit_spilled *shares, int64_t count);

/* Forgets all rows, and draws another key. 0, or -1 when there is no randomness. */
int kit_spill_renew(kit_spill *spill);

#pragma GCC visibility pop

/* Which share lies at a place of the arena; -1 for none. `inside`: at any byte of it. */
int64_t kit_spill_at(const kit_spill *spill, int64_t place, int inside);
const kit_spilled *kit_spill_share(const kit_spill *spill, int64_t share);

/* Moves rows, which are in bounds, between the file and a batch. NULL, or what went wrong, with the
 * reason in errno, or 0 there. */
const char *kit_spill_put(kit_spill *spill, int64_t share, const int32_t *rows, int64_t n,
                          const uint8_t *batch);
const char *kit_spill_take(kit_spill *spill, int64_t share, const int32_t *rows, int64_t n,
                           uint8_t *batch);

#endif
