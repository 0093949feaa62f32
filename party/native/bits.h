/* Operations on the bits of each element; `size` is the bytes of an element: 1, 2, 4 or 8.
 * All return 0, or -1 for a size, start or stride that makes no sense. */
#ifndef KIT_BITS_H
#define KIT_BITS_H

#include <stdint.h>

#pragma GCC visibility push(default)

/* out[d * n + i] = the bits d, d + stride, d + 2 stride, ... of x[i], packed low; d < stride. */
int kit_bit_split(int size, int64_t stride, int64_t n, const void *x, void *out);

/* out[i] = the bits start, start + stride, ... of x[i], packed low. */
int kit_bit_gather(int size, int64_t start, int64_t stride, int64_t n, const void *x, void *out);

/* out[i] = x[i] with its bits in reverse order. */
int kit_bit_reverse(int size, int64_t n, const void *x, void *out);

/* out[i] = the exclusive or of the positions of the set bits of x[i]. */
int kit_xor_indices(int size, int64_t n, const void *x, void *out);

#pragma GCC visibility pop
#endif
