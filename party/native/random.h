/* Fresh seeds from the kernel, and uniform tensors grown from a seed by AES-256 in counter mode. */
#ifndef KIT_RANDOM_H
#define KIT_RANDOM_H

#include <stdint.h>

#pragma GCC visibility push(default)

enum { KIT_SEED_BYTES = 32 };

/* The cipher's working memory, kept so that drawing allocates nothing. */
typedef struct kit_random kit_random;

/* Fills out with fresh bytes from the kernel. 0, or -1 when there are none. */
int kit_seed(uint8_t out[KIT_SEED_BYTES]);

/* NULL when out of memory. */
kit_random *kit_random_new(void);
void kit_random_free(kit_random *random);

/* Writes n elements of `type` (enum kit_type), uniform over low, ..., low + range - 1; a range of
 * 0 is the type's whole ring. Exact: values are drawn again rather than reduced with a bias. The
 * same seed, type, range and n give the same elements on every machine. 0, or -1 on failure. */
int kit_uniform(kit_random *random, const uint8_t seed[KIT_SEED_BYTES], int type, int64_t low,
                uint64_t range, int64_t n, void *out);

#pragma GCC visibility pop
#endif
