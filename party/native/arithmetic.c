/* Elementwise arithmetic, layout and reductions.
 *
 * Integers wrap: they are computed in the unsigned type of the same width wherever the sign does
 * not matter, so that nothing here is undefined. Loops are written once, in the macros below, and
 * stamped out for each type and for the common ways of reading operands, which lets the compiler
 * use vector instructions. `ivdep` says what the schedule guarantees: a result overlaps an operand
 * only where it replaces it element by element. */
#include "arithmetic.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define EVERY _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++)

int kit_type_size(int type) {
    static const int sizes[] = {
        [KIT_INT8] = 1,  [KIT_INT16] = 2,   [KIT_INT32] = 4,   [KIT_INT64] = 8,
        [KIT_UINT8] = 1, [KIT_UINT16] = 2,  [KIT_UINT32] = 4,  [KIT_UINT64] = 8,
        [KIT_BOOL] = 1,  [KIT_FLOAT32] = 4, [KIT_FLOAT64] = 8,
    };
    return type >= 0 && type < (int)(sizeof sizes / sizeof *sizes) ? sizes[type] : 0;
}

/* An instruction with its offsets resolved. Element i of operand k is at list[k][i] where there is
 * a list, else at i * stride[k]; the stride is 0 for one value that serves all. */
typedef struct {
    int64_t n;
    void *o;
    const void *x[3];
    const int32_t *list[3];
    int64_t stride[3];
} operands;

static operands resolve(const kit_instruction *instruction, uint8_t *arena, const int32_t *index) {
    operands v = {.n = instruction->n, .o = arena + instruction->out};
    for (int k = 0; k < 3; k++) {
        v.x[k] = instruction->input[k] < 0 ? NULL : arena + instruction->input[k];
        v.list[k] = instruction->mode[k] == KIT_LIST ? index + instruction->index[k] : NULL;
        v.stride[k] = instruction->mode[k] == KIT_ONE ? 0 : 1;
    }
    return v;
}

static inline int64_t at(const operands *v, int k, int64_t i) {
    return v->list[k] ? v->list[k][i] : i * v->stride[k];
}

/* o[i] = EXPRESSION of a and b, which are the elements of the two operands. */
#define BINARY(T, R, EXPRESSION)                                                                   \
    do {                                                                                           \
        const int64_t n = v->n;                                                                    \
        const T *x = v->x[0], *y = v->x[1];                                                        \
        R *o = v->o;                                                                               \
        if (v->list[0] || v->list[1]) {                                                            \
            EVERY {                                                                                \
                const T a = x[at(v, 0, i)], b = y[at(v, 1, i)];                                    \
                o[i] = (R)(EXPRESSION);                                                            \
            }                                                                                      \
        } else if (v->stride[0] && v->stride[1]) {                                                 \
            EVERY {                                                                                \
                const T a = x[i], b = y[i];                                                        \
                o[i] = (R)(EXPRESSION);                                                            \
            }                                                                                      \
        } else if (v->stride[0]) {                                                                 \
            const T b = y[0];                                                                      \
            EVERY {                                                                                \
                const T a = x[i];                                                                  \
                o[i] = (R)(EXPRESSION);                                                            \
            }                                                                                      \
        } else {                                                                                   \
            const T a = x[0];                                                                      \
            EVERY {                                                                                \
                const T b = y[v->stride[1] * i];                                                   \
                o[i] = (R)(EXPRESSION);                                                            \
            }                                                                                      \
        }                                                                                          \
        return KIT_FINE;                                                                           \
    } while (0)

/* o[i] = EXPRESSION of a, the element of the one operand. */
#define UNARY(T, R, EXPRESSION)                                                                    \
    do {                                                                                           \
        const int64_t n = v->n;                                                                    \
        const T *x = v->x[0];                                                                      \
        R *o = v->o;                                                                               \
        if (v->list[0] || !v->stride[0]) {                                                         \
            EVERY {                                                                                \
                const T a = x[at(v, 0, i)];                                                        \
                o[i] = (R)(EXPRESSION);                                                            \
            }                                                                                      \
        } else {                                                                                   \
            EVERY {                                                                                \
                const T a = x[i];                                                                  \
                o[i] = (R)(EXPRESSION);                                                            \
            }                                                                                      \
        }                                                                                          \
        return KIT_FINE;                                                                           \
    } while (0)

/* Cases for all integers where only the width matters. `1u *` keeps small types from becoming
 * signed when they are promoted. */
#define WIDTHS(LOOP, EXPRESSION)                                                                   \
    case KIT_INT8:                                                                                 \
    case KIT_UINT8:                                                                                \
        LOOP(uint8_t, uint8_t, EXPRESSION);                                                        \
    case KIT_INT16:                                                                                \
    case KIT_UINT16:                                                                               \
        LOOP(uint16_t, uint16_t, EXPRESSION);                                                      \
    case KIT_INT32:                                                                                \
    case KIT_UINT32:                                                                               \
        LOOP(uint32_t, uint32_t, EXPRESSION);                                                      \
    case KIT_INT64:                                                                                \
    case KIT_UINT64:                                                                               \
        LOOP(uint64_t, uint64_t, EXPRESSION)

#define FLOATS(LOOP, EXPRESSION)                                                                   \
    case KIT_FLOAT32:                                                                              \
        LOOP(float, float, EXPRESSION);                                                            \
    case KIT_FLOAT64:                                                                              \
        LOOP(double, double, EXPRESSION)

static enum kit_trouble add(int type, const operands *v) {
    switch (type) {
        WIDTHS(BINARY, 1u * a + b);
        FLOATS(BINARY, a + b);
    }
    return KIT_NO_SUCH;
}

static enum kit_trouble subtract(int type, const operands *v) {
    switch (type) {
        WIDTHS(BINARY, 1u * a - b);
        FLOATS(BINARY, a - b);
    }
    return KIT_NO_SUCH;
}

static enum kit_trouble multiply(int type, const operands *v) {
    switch (type) {
        WIDTHS(BINARY, 1u * a * b);
        FLOATS(BINARY, a * b);
    }
    return KIT_NO_SUCH;
}

static enum kit_trouble exclusive_or(int type, const operands *v) {
    switch (type) {
    case KIT_BOOL:
        WIDTHS(BINARY, a ^ b);
    }
    return KIT_NO_SUCH;
}

static enum kit_trouble both(int type, const operands *v) {
    switch (type) {
    case KIT_BOOL:
        WIDTHS(BINARY, a & b);
    }
    return KIT_NO_SUCH;
}

static enum kit_trouble either(int type, const operands *v) {
    switch (type) {
    case KIT_BOOL:
        WIDTHS(BINARY, a | b);
    }
    return KIT_NO_SUCH;
}

/* Shift counts below nothing count as nothing, those beyond the width as all but one bit. */
#define COUNT(bits) (b<0 ? 0 : b>(bits) - 1 ? (bits) - 1 : b)
#define UNSIGNED_COUNT(bits) (b > (bits) - 1 ? (bits) - 1 : b)

static enum kit_trouble shift_left(int type, const operands *v) {
    switch (type) {
    case KIT_INT8:
        BINARY(int8_t, uint8_t, 1u * (uint8_t)a << COUNT(8));
    case KIT_INT16:
        BINARY(int16_t, uint16_t, 1u * (uint16_t)a << COUNT(16));
    case KIT_INT32:
        BINARY(int32_t, uint32_t, (uint32_t)a << COUNT(32));
    case KIT_INT64:
        BINARY(int64_t, uint64_t, (uint64_t)a << COUNT(64));
    case KIT_UINT8:
        BINARY(uint8_t, uint8_t, 1u * a << UNSIGNED_COUNT(8));
    case KIT_UINT16:
        BINARY(uint16_t, uint16_t, 1u * a << UNSIGNED_COUNT(16));
    case KIT_UINT32:
        BINARY(uint32_t, uint32_t, a << UNSIGNED_COUNT(32));
    case KIT_UINT64:
        BINARY(uint64_t, uint64_t, a << UNSIGNED_COUNT(64));
    }
    return KIT_NO_SUCH;
}

/* Shifting a negative number right keeps its sign with every compiler that builds this. */
_Static_assert(-3 >> 1 == -2, "arithmetic right shift");

static enum kit_trouble shift_right(int type, const operands *v) {
    switch (type) {
    case KIT_INT8:
        BINARY(int8_t, int8_t, a >> COUNT(8));
    case KIT_INT16:
        BINARY(int16_t, int16_t, a >> COUNT(16));
    case KIT_INT32:
        BINARY(int32_t, int32_t, a >> COUNT(32));
    case KIT_INT64:
        BINARY(int64_t, int64_t, a >> COUNT(64));
    case KIT_UINT8:
        BINARY(uint8_t, uint8_t, a >> UNSIGNED_COUNT(8));
    case KIT_UINT16:
        BINARY(uint16_t, uint16_t, a >> UNSIGNED_COUNT(16));
    case KIT_UINT32:
        BINARY(uint32_t, uint32_t, a >> UNSIGNED_COUNT(32));
    case KIT_UINT64:
        BINARY(uint64_t, uint64_t, a >> UNSIGNED_COUNT(64));
    }
    return KIT_NO_SUCH;
}

/* Division rounding down. A divisor of -1 only negates (the lowest value has no opposite: it
 * wraps to itself), which spares the one quotient that does not fit. Narrow integers are divided
 * as the floats F, for which there are vector instructions: the quotient of two numbers of less
 * than half the bits of F's significand lies too far from the next integer to be rounded to it
 * (32 bits in a double, 16 in a float: a quotient that is no integer is at least 1 / |b| away from
 * one, which is more than half a unit in the last place of a / b). */
#define DIVISION(T, U, F)                                                                          \
    static inline T floordiv_##T(T a, T b) {                                                       \
        const T q = b == -1 ? 0 : (T)((F)a / (F)b);                                                \
        const T r = (T)((U)a - 1u * (U)q * (U)b);                                                  \
        return b == -1 ? (T)(0u - (U)a) : (T)(q - (r != 0 && (r ^ b) < 0));                        \
    }                                                                                              \
    static inline T floormod_##T(T a, T b) {                                                       \
        const T q = b == -1 ? 0 : (T)((F)a / (F)b);                                                \
        const T r = (T)((U)a - 1u * (U)q * (U)b);                                                  \
        return b == -1 ? 0 : (T)(r + (r != 0 && (r ^ b) < 0 ? b : 0));                             \
    }

DIVISION(int8_t, uint8_t, float)
DIVISION(int16_t, uint16_t, float)
DIVISION(int32_t, uint32_t, double)
DIVISION(int64_t, uint64_t, int64_t)

#define HAS_ZERO(T)                                                                                \
    do {                                                                                           \
        const T *y = v->x[1];                                                                      \
        int zero = 0;                                                                              \
        for (int64_t i = 0; i < (v->stride[1] || v->list[1] ? v->n : 1); i++)                      \
            zero |= y[at(v, 1, i)] == 0;                                                           \
        return zero;                                                                               \
    } while (0)

static int has_zero_divisor(int type, const operands *v) {
    switch (kit_type_size(type)) {
    case 1:
        HAS_ZERO(uint8_t);
    case 2:
        HAS_ZERO(uint16_t);
    case 4:
        HAS_ZERO(uint32_t);
    case 8:
        HAS_ZERO(uint64_t);
    }
    return 0;
}

static enum kit_trouble floordiv(int type, const operands *v) {
    if (has_zero_divisor(type, v))
        return KIT_ZERO_DIVISOR;
    switch (type) {
    case KIT_INT8:
        BINARY(int8_t, int8_t, floordiv_int8_t(a, b));
    case KIT_INT16:
        BINARY(int16_t, int16_t, floordiv_int16_t(a, b));
    case KIT_INT32:
        BINARY(int32_t, int32_t, floordiv_int32_t(a, b));
    case KIT_INT64:
        BINARY(int64_t, int64_t, floordiv_int64_t(a, b));
    case KIT_UINT8:
        BINARY(uint8_t, uint8_t, a / b);
    case KIT_UINT16:
        BINARY(uint16_t, uint16_t, a / b);
    case KIT_UINT32:
        BINARY(uint32_t, uint32_t, a / b);
    case KIT_UINT64:
        BINARY(uint64_t, uint64_t, a / b);
    }
    return KIT_NO_SUCH;
}

static enum kit_trouble floormod(int type, const operands *v) {
    if (has_zero_divisor(type, v))
        return KIT_ZERO_DIVISOR;
    switch (type) {
    case KIT_INT8:
        BINARY(int8_t, int8_t, floormod_int8_t(a, b));
    case KIT_INT16:
        BINARY(int16_t, int16_t, floormod_int16_t(a, b));
    case KIT_INT32:
        BINARY(int32_t, int32_t, floormod_int32_t(a, b));
    case KIT_INT64:
        BINARY(int64_t, int64_t, floormod_int64_t(a, b));
    case KIT_UINT8:
        BINARY(uint8_t, uint8_t, a % b);
    case KIT_UINT16:
        BINARY(uint16_t, uint16_t, a % b);
    case KIT_UINT32:
        BINARY(uint32_t, uint32_t, a % b);
    case KIT_UINT64:
        BINARY(uint64_t, uint64_t, a % b);
    }
    return KIT_NO_SUCH;
}

#define COMPARISON(NAME, OPERATOR)                                                                 \
    static enum kit_trouble NAME(int type, const operands *v) {                                    \
        switch (type) {                                                                            \
        case KIT_INT8:                                                                             \
            BINARY(int8_t, uint8_t, a OPERATOR b);                                                 \
        case KIT_INT16:                                                                            \
            BINARY(int16_t, uint8_t, a OPERATOR b);                                                \
        case KIT_INT32:                                                                            \
            BINARY(int32_t, uint8_t, a OPERATOR b);                                                \
        case KIT_INT64:                                                                            \
            BINARY(int64_t, uint8_t, a OPERATOR b);                                                \
        case KIT_BOOL:                                                                             \
        case KIT_UINT8:                                                                            \
            BINARY(uint8_t, uint8_t, a OPERATOR b);                                                \
        case KIT_UINT16:                                                                           \
            BINARY(uint16_t, uint8_t, a OPERATOR b);                                               \
        case KIT_UINT32:                                                                           \
            BINARY(uint32_t, uint8_t, a OPERATOR b);                                               \
        case KIT_UINT64:                                                                           \
            BINARY(uint64_t, uint8_t, a OPERATOR b);                                               \
        case KIT_FLOAT32:                                                                          \
            BINARY(float, uint8_t, a OPERATOR b);                                                  \
        case KIT_FLOAT64:                                                                          \
            BINARY(double, uint8_t, a OPERATOR b);                                                 \
        }                                                                                          \
        return KIT_NO_SUCH;                                                                        \
    }

COMPARISON(equal, ==)
COMPARISON(not_equal, !=)
COMPARISON(less, <)
COMPARISON(less_or_equal, <=)
COMPARISON(greater, >)
COMPARISON(greater_or_equal, >=)

static enum kit_trouble negate(int type, const operands *v) {
    switch (type) {
        WIDTHS(UNARY, 0u - a);
        FLOATS(UNARY, -a);
    }
    return KIT_NO_SUCH;
}

static enum kit_trouble invert(int type, const operands *v) {
    switch (type) {
        WIDTHS(UNARY, ~(1u * a));
    case KIT_BOOL:
        UNARY(uint8_t, uint8_t, !a);
    }
    return KIT_NO_SUCH;
}

static enum kit_trouble not(int type, const operands *v) {
    if (type == KIT_BOOL)
        UNARY(uint8_t, uint8_t, !a);
    return KIT_NO_SUCH;
}

/* Half to even: the mode in which every process starts and nothing here changes. */
static enum kit_trouble round_half_even(int type, const operands *v) {
    switch (type) {
    case KIT_FLOAT32:
        UNARY(float, float, rintf(a));
    case KIT_FLOAT64:
        UNARY(double, double, rint(a));
    }
    return KIT_NO_SUCH;
}

/* From a float to an integer: towards zero, and only where the result fits. Both bounds are exact
 * in a double; INSIDE says whether the lower one is itself inside. */
#define ONE_INTEGER(T, R, X, LOWER, INSIDE, UPPER)                                                 \
    {                                                                                              \
        const T a = X;                                                                             \
        const int fits = ((INSIDE) ? a >= (LOWER) : a > (LOWER)) && a < (UPPER);                   \
        outside |= !fits;                                                                          \
        o[i] = fits ? (R)a : 0;                                                                    \
    }

#define TO_INTEGER(T, R, LOWER, INSIDE, UPPER)                                                     \
    do {                                                                                           \
        const int64_t n = v->n;                                                                    \
        const T *x = v->x[0];                                                                      \
        R *o = v->o;                                                                               \
        int outside = 0;                                                                           \
        if (v->list[0] || !v->stride[0]) {                                                         \
            EVERY ONE_INTEGER(T, R, x[at(v, 0, i)], LOWER, INSIDE, UPPER);                         \
        } else {                                                                                   \
            EVERY ONE_INTEGER(T, R, x[i], LOWER, INSIDE, UPPER);                                   \
        }                                                                                          \
        return outside ? KIT_OUT_OF_RANGE : KIT_FINE;                                              \
    } while (0)

#define FROM_FLOAT(T)                                                                              \
    switch (type2) {                                                                               \
    case KIT_INT8:                                                                                 \
        TO_INTEGER(T, int8_t, -0x81p0, 0, 0x80p0);                                                 \
    case KIT_INT16:                                                                                \
        TO_INTEGER(T, int16_t, -0x8001p0, 0, 0x8000p0);                                            \
    case KIT_INT32:                                                                                \
        TO_INTEGER(T, int32_t, -0x80000001p0, 0, 0x1p31);                                          \
    case KIT_INT64:                                                                                \
        TO_INTEGER(T, int64_t, -0x1p63, 1, 0x1p63);                                                \
    case KIT_UINT8:                                                                                \
        TO_INTEGER(T, uint8_t, -1.0, 0, 0x1p8);                                                    \
    case KIT_UINT16:                                                                               \
        TO_INTEGER(T, uint16_t, -1.0, 0, 0x1p16);                                                  \
    case KIT_UINT32:                                                                               \
        TO_INTEGER(T, uint32_t, -1.0, 0, 0x1p32);                                                  \
    case KIT_UINT64:                                                                               \
        TO_INTEGER(T, uint64_t, -1.0, 0, 0x1p64);                                                  \
    case KIT_BOOL:                                                                                 \
        UNARY(T, uint8_t, a != 0);                                                                 \
    case KIT_FLOAT32:                                                                              \
        UNARY(T, float, a);                                                                        \
    case KIT_FLOAT64:                                                                              \
        UNARY(T, double, a);                                                                       \
    }                                                                                              \
    return KIT_NO_SUCH

/* From an integer: wraps to narrower ones, extends by its own sign to wider ones. */
#define FROM_INTEGER(T)                                                                            \
    switch (type2) {                                                                               \
    case KIT_INT8:                                                                                 \
    case KIT_UINT8:                                                                                \
        UNARY(T, uint8_t, a);                                                                      \
    case KIT_INT16:                                                                                \
    case KIT_UINT16:                                                                               \
        UNARY(T, uint16_t, a);                                                                     \
    case KIT_INT32:                                                                                \
    case KIT_UINT32:                                                                               \
        UNARY(T, uint32_t, a);                                                                     \
    case KIT_INT64:                                                                                \
    case KIT_UINT64:                                                                               \
        UNARY(T, uint64_t, a);                                                                     \
    case KIT_BOOL:                                                                                 \
        UNARY(T, uint8_t, a != 0);                                                                 \
    case KIT_FLOAT32:                                                                              \
        UNARY(T, float, a);                                                                        \
    case KIT_FLOAT64:                                                                              \
        UNARY(T, double, a);                                                                       \
    }                                                                                              \
    return KIT_NO_SUCH

static enum kit_trouble cast(int type, int type2, const operands *v) {
    switch (type) {
    case KIT_INT8:
        FROM_INTEGER(int8_t);
    case KIT_INT16:
        FROM_INTEGER(int16_t);
    case KIT_INT32:
        FROM_INTEGER(int32_t);
    case KIT_INT64:
        FROM_INTEGER(int64_t);
    case KIT_BOOL:
    case KIT_UINT8:
        FROM_INTEGER(uint8_t);
    case KIT_UINT16:
        FROM_INTEGER(uint16_t);
    case KIT_UINT32:
        FROM_INTEGER(uint32_t);
    case KIT_UINT64:
        FROM_INTEGER(uint64_t);
    case KIT_FLOAT32:
        FROM_FLOAT(float);
    case KIT_FLOAT64:
        FROM_FLOAT(double);
    }
    return KIT_NO_SUCH;
}

/* Cases by an element's bytes, for what only moves elements. */
#define SIZES(LOOP)                                                                                \
    switch (kit_type_size(type)) {                                                                 \
    case 1:                                                                                        \
        LOOP(uint8_t);                                                                             \
    case 2:                                                                                        \
        LOOP(uint16_t);                                                                            \
    case 4:                                                                                        \
        LOOP(uint32_t);                                                                            \
    case 8:                                                                                        \
        LOOP(uint64_t);                                                                            \
    }                                                                                              \
    return KIT_NO_SUCH

#define SELECT(T)                                                                                  \
    do {                                                                                           \
        const int64_t n = v->n;                                                                    \
        const uint8_t *x = v->x[0];                                                                \
        const T *y = v->x[1], *z = v->x[2];                                                        \
        T *o = v->o;                                                                               \
        if (v->list[0] || v->list[1] || v->list[2]) {                                              \
            EVERY {                                                                                \
                const T a = y[at(v, 1, i)], b = z[at(v, 2, i)];                                    \
                o[i] = x[at(v, 0, i)] ? a : b;                                                     \
            }                                                                                      \
        } else if (v->stride[0] && v->stride[1] && v->stride[2]) {                                 \
            EVERY {                                                                                \
                const T a = y[i], b = z[i];                                                        \
                o[i] = x[i] ? a : b;                                                               \
            }                                                                                      \
        } else {                                                                                   \
            const int64_t c = v->stride[0], d = v->stride[1], e = v->stride[2];                    \
            EVERY {                                                                                \
                const T a = y[d * i], b = z[e * i];                                                \
                o[i] = x[c * i] ? a : b;                                                           \
            }                                                                                      \
        }                                                                                          \
        return KIT_FINE;                                                                           \
    } while (0)

static enum kit_trouble select(int type, const operands *v) {
    SIZES(SELECT);
}

#define GATHER(T) UNARY(T, T, a)

static enum kit_trouble gather(int type, const operands *v) {
    SIZES(GATHER);
}

#define SCATTER(T)                                                                                 \
    do {                                                                                           \
        const T *x = v->x[0];                                                                      \
        T *o = v->o;                                                                               \
        for (int64_t i = 0; i < v->n; i++)                                                         \
            o[v->list[0][i]] = x[i];                                                               \
        return KIT_FINE;                                                                           \
    } while (0)

static enum kit_trouble scatter(int type, const operands *v) {
    if (!v->list[0])
        return KIT_NO_SUCH;
    SIZES(SCATTER);
}

static enum kit_trouble copy(int type, const operands *v) {
    memmove(v->o, v->x[0], (size_t)v->n * (size_t)kit_type_size(type));
    return KIT_FINE;
}

/* Matrix product, row-major. With one column each result is a dot product. Otherwise four rows of
 * the second matrix at a time are added into the result's row, in pieces that stay in the first
 * cache. For floats the order of additions is the same on every machine. */
enum { COLUMN_PIECE = 512 };

#define MATMUL(T, A)                                                                               \
    do {                                                                                           \
        const T *x = v->x[0], *y = v->x[1];                                                        \
        T *o = v->o;                                                                               \
        if (columns == 1) {                                                                        \
            for (int64_t r = 0; r < rows; r++) {                                                   \
                const T *a = x + r * inner;                                                        \
                A sum = 0;                                                                         \
                for (int64_t j = 0; j < inner; j++)                                                \
                    sum += (A)a[j] * y[j];                                                         \
                o[r] = (T)sum;                                                                     \
            }                                                                                      \
            return KIT_FINE;                                                                       \
        }                                                                                          \
        memset(o, 0, (size_t)rows * (size_t)columns * sizeof(T));                                  \
        for (int64_t from = 0; from < columns; from += COLUMN_PIECE) {                             \
            const int64_t n = columns - from < COLUMN_PIECE ? columns - from : COLUMN_PIECE;       \
            for (int64_t r = 0; r < rows; r++) {                                                   \
                const T *a = x + r * inner;                                                        \
                T *c = o + r * columns + from;                                                     \
                int64_t j = 0;                                                                     \
                for (; j + 4 <= inner; j += 4) {                                                   \
                    const T *b = y + j * columns + from;                                           \
                    const A a0 = a[j], a1 = a[j + 1], a2 = a[j + 2], a3 = a[j + 3];                \
                    EVERY c[i] = (T)(c[i] + a0 * b[i] + a1 * b[columns + i] +                      \
                                     a2 * b[2 * columns + i] + a3 * b[3 * columns + i]);           \
                }                                                                                  \
                for (; j < inner; j++) {                                                           \
                    const T *b = y + j * columns + from;                                           \
                    const A a0 = a[j];                                                             \
                    EVERY c[i] = (T)(c[i] + a0 * b[i]);                                            \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        return KIT_FINE;                                                                           \
    } while (0)

/* The middle one of three axes is summed away. */
#define SUM(T, A)                                                                                  \
    do {                                                                                           \
        const T *x = v->x[0];                                                                      \
        T *o = v->o;                                                                               \
        if (n == 1) {                                                                              \
            for (int64_t r = 0; r < outer; r++) {                                                  \
                A sum = 0;                                                                         \
                for (int64_t j = 0; j < length; j++)                                               \
                    sum += x[r * length + j];                                                      \
                o[r] = (T)sum;                                                                     \
            }                                                                                      \
            return KIT_FINE;                                                                       \
        }                                                                                          \
        memset(o, 0, (size_t)outer * (size_t)n * sizeof(T));                                       \
        for (int64_t r = 0; r < outer; r++)                                                        \
            for (int64_t j = 0; j < length; j++) {                                                 \
                const T *a = x + (r * length + j) * n;                                             \
                T *c = o + r * n;                                                                  \
                EVERY c[i] = (T)((A)c[i] + a[i]);                                                  \
            }                                                                                      \
        return KIT_FINE;                                                                           \
    } while (0)

#define REDUCTIONS(LOOP)                                                                           \
    switch (type) {                                                                                \
    case KIT_INT8:                                                                                 \
    case KIT_UINT8:                                                                                \
        LOOP(uint8_t, uint32_t);                                                                   \
    case KIT_INT16:                                                                                \
    case KIT_UINT16:                                                                               \
        LOOP(uint16_t, uint32_t);                                                                  \
    case KIT_INT32:                                                                                \
    case KIT_UINT32:                                                                               \
        LOOP(uint32_t, uint32_t);                                                                  \
    case KIT_INT64:                                                                                \
    case KIT_UINT64:                                                                               \
        LOOP(uint64_t, uint64_t);                                                                  \
    case KIT_FLOAT32:                                                                              \
        LOOP(float, float);                                                                        \
    case KIT_FLOAT64:                                                                              \
        LOOP(double, double);                                                                      \
    }                                                                                              \
    return KIT_NO_SUCH

static enum kit_trouble matmul(int type, const int64_t *p, const operands *v) {
    const int64_t rows = p[0], inner = p[1], columns = p[2];
    REDUCTIONS(MATMUL);
}

static enum kit_trouble sum(int type, const int64_t *p, const operands *v) {
    const int64_t outer = p[0], length = p[1], n = p[2];
    REDUCTIONS(SUM);
}

enum kit_trouble kit_compute(const kit_instruction *instruction, uint8_t *arena,
                             const int32_t *index) {
    const operands resolved = resolve(instruction, arena, index), *v = &resolved;
    const int type = instruction->type;
    if (instruction->n <= 0)
        return KIT_FINE; /* not even the one value that serves all need be there */
    switch (instruction->op) {
    case KIT_ADD:
        return add(type, v);
    case KIT_SUB:
        return subtract(type, v);
    case KIT_MUL:
        return multiply(type, v);
    case KIT_FLOORMOD:
        return floormod(type, v);
    case KIT_FLOORDIV:
        return floordiv(type, v);
    case KIT_XOR:
        return exclusive_or(type, v);
    case KIT_AND:
        return both(type, v);
    case KIT_OR:
        return either(type, v);
    case KIT_SHL:
        return shift_left(type, v);
    case KIT_SHR:
        return shift_right(type, v);
    case KIT_EQ:
        return equal(type, v);
    case KIT_NE:
        return not_equal(type, v);
    case KIT_LT:
        return less(type, v);
    case KIT_LE:
        return less_or_equal(type, v);
    case KIT_GT:
        return greater(type, v);
    case KIT_GE:
        return greater_or_equal(type, v);
    case KIT_NEG:
        return negate(type, v);
    case KIT_INVERT:
        return invert(type, v);
    case KIT_NOT:
        return not(type, v);
    case KIT_ROUND:
        return round_half_even(type, v);
    case KIT_CAST:
        return cast(type, instruction->type2, v);
    case KIT_SELECT:
        return select(type, v);
    case KIT_COPY:
        return copy(type, v);
    case KIT_GATHER:
        return gather(type, v);
    case KIT_SCATTER:
        return scatter(type, v);
    case KIT_MATMUL:
        return matmul(type, instruction->p, v);
    case KIT_SUM:
        return sum(type, instruction->p, v);
    default:
        return KIT_NO_SUCH;
    }
}
