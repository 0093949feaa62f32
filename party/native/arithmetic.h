/* The instructions that only compute: arena in, arena out. */
#ifndef KIT_ARITHMETIC_H
#define KIT_ARITHMETIC_H

#include "instructions.h"

enum kit_trouble {
    KIT_FINE = 0,
    KIT_ZERO_DIVISOR = 1,
    KIT_OUT_OF_RANGE = 2, /* a float that its integer type cannot hold */
    KIT_NO_SUCH = 3,      /* an instruction that does not exist, or not for this type */
};

/* Bytes of an element, 0 for what is no type. */
int kit_type_size(int type);

/* Carries out one instruction, from KIT_ADD to KIT_SUM. Where o is also an operand that is read
 * element by element, with elements of the same size, the two may be the same memory; otherwise
 * they do not overlap. */
enum kit_trouble kit_compute(const kit_instruction *instruction, uint8_t *arena,
                             const int32_t *index);

#endif
