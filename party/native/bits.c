#include "bits.h"

#include <stddef.h>

/* The bits start, start + stride, ... of a word, packed. */
static inline uint64_t pack(uint64_t word, unsigned start, unsigned stride) {
    uint64_t packed = 0;
    for (unsigned from = start, to = 0; from < 64; from += stride, to++)
        packed |= (word >> from & 1) << to;
    return packed;
}

/* The even bits of a word, packed: neighbours move together by pairs, by fours, and so on. Every
 * power of two is a stride of two some times over. The protocols use no other strides, and
 * compilers make vector instructions of these loops, which beats the one that takes a single word
 * (pext). */
#define GATHER(T)                                                                                  \
    static inline T pack_even_##T(T word) {                                                        \
        word &= (T)UINT64_C(0x5555555555555555);                                                   \
        word = (T)((word | word >> 1) & (T)UINT64_C(0x3333333333333333));                          \
        word = (T)((word | word >> 2) & (T)UINT64_C(0x0f0f0f0f0f0f0f0f));                          \
        if (sizeof(T) > 1)                                                                         \
            word = (T)((word | word >> 4) & (T)UINT64_C(0x00ff00ff00ff00ff));                      \
        if (sizeof(T) > 2)                                                                         \
            word = (T)((word | word >> 8) & (T)UINT64_C(0x0000ffff0000ffff));                      \
        if (sizeof(T) > 4)                                                                         \
            word = (T)((word | word >> 16) & (T)UINT64_C(0x00000000ffffffff));                     \
        return word;                                                                               \
    }                                                                                              \
    static void gather_##T(unsigned start, unsigned stride, size_t n, const T *x, T *out) {        \
        if (stride == 1 || (stride & (stride - 1))) {                                              \
            for (size_t i = 0; i < n; i++)                                                         \
                out[i] = (T)pack(x[i], start, stride);                                             \
            return;                                                                                \
        }                                                                                          \
        for (size_t i = 0; i < n; i++)                                                             \
            out[i] = pack_even_##T((T)(x[i] >> start));                                            \
        for (; stride > 2; stride /= 2)                                                            \
            for (size_t i = 0; i < n; i++)                                                         \
                out[i] = pack_even_##T(out[i]);                                                    \
    }

static inline uint64_t reverse(uint64_t word) {
    word = (word >> 1 & UINT64_C(0x5555555555555555)) | (word & UINT64_C(0x5555555555555555)) << 1;
    word = (word >> 2 & UINT64_C(0x3333333333333333)) | (word & UINT64_C(0x3333333333333333)) << 2;
    word = (word >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f)) | (word & UINT64_C(0x0f0f0f0f0f0f0f0f)) << 4;
    return __builtin_bswap64(word);
}

/* Bit k of the result is the parity of the bits set at positions that have bit k. */
static inline uint64_t xor_indices(uint64_t word) {
    static const uint64_t positions[6] = {
        UINT64_C(0xaaaaaaaaaaaaaaaa), UINT64_C(0xcccccccccccccccc), UINT64_C(0xf0f0f0f0f0f0f0f0),
        UINT64_C(0xff00ff00ff00ff00), UINT64_C(0xffff0000ffff0000), UINT64_C(0xffffffff00000000)};
    uint64_t result = 0;
    for (unsigned k = 0; k < 6; k++)
        result |= (uint64_t)__builtin_parityll(word & positions[k]) << k;
    return result;
}

#define EACH(T)                                                                                    \
    GATHER(T)                                                                                      \
    static void reverse_##T(size_t n, const T *x, T *out) {                                        \
        for (size_t i = 0; i < n; i++)                                                             \
            out[i] = (T)(reverse(x[i]) >> (64 - 8 * sizeof(T)));                                   \
    }                                                                                              \
    static void xor_indices_##T(size_t n, const T *x, T *out) {                                    \
        for (size_t i = 0; i < n; i++)                                                             \
            out[i] = (T)xor_indices(x[i]);                                                         \
    }

EACH(uint8_t)
EACH(uint16_t)
EACH(uint32_t)
EACH(uint64_t)

int kit_bit_gather(int size, int64_t start, int64_t stride, int64_t n, const void *x, void *out) {
    if (n < 0 || start < 0 || stride < 1 || start >= 64 || stride > 64)
        return -1;
    if (start >= 8 * size || stride > 8 * size)
        return -1;
    switch (size) {
    case 1:
        gather_uint8_t((unsigned)start, (unsigned)stride, (size_t)n, x, out);
        return 0;
    case 2:
        gather_uint16_t((unsigned)start, (unsigned)stride, (size_t)n, x, out);
        return 0;
    case 4:
        gather_uint32_t((unsigned)start, (unsigned)stride, (size_t)n, x, out);
        return 0;
    case 8:
        gather_uint64_t((unsigned)start, (unsigned)stride, (size_t)n, x, out);
        return 0;
    default:
        return -1;
    }
}

int kit_bit_split(int size, int64_t stride, int64_t n, const void *x, void *out) {
    if (stride < 1)
        return -1;
    for (int64_t d = 0; d < stride; d++)
        if (kit_bit_gather(size, d, stride, n, x, (char *)out + d * n * size))
            return -1;
    return 0;
}

int kit_bit_reverse(int size, int64_t n, const void *x, void *out) {
    if (n < 0)
        return -1;
    switch (size) {
    case 1:
        reverse_uint8_t((size_t)n, x, out);
        return 0;
    case 2:
        reverse_uint16_t((size_t)n, x, out);
        return 0;
    case 4:
        reverse_uint32_t((size_t)n, x, out);
        return 0;
    case 8:
        reverse_uint64_t((size_t)n, x, out);
        return 0;
    default:
        return -1;
    }
}

int kit_xor_indices(int size, int64_t n, const void *x, void *out) {
    if (n < 0)
        return -1;
    switch (size) {
    case 1:
        xor_indices_uint8_t((size_t)n, x, out);
        return 0;
    case 2:
        xor_indices_uint16_t((size_t)n, x, out);
        return 0;
    case 4:
        xor_indices_uint32_t((size_t)n, x, out);
        return 0;
    case 8:
        xor_indices_uint64_t((size_t)n, x, out);
        return 0;
    default:
        return -1;
    }
}
