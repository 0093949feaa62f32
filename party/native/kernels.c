/* The random and bit operations as TensorFlow operations, for graphs that TensorFlow itself runs.
 *
 * Shapes are known to TensorFlow only once an operation has run; party/compiler/compat sets them
 * when it builds a graph. What goes wrong becomes an error of the operation. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>

#include "bits.h"
#include "random.h"
#include "tf_c_api.h"

enum { MAX_RANK = 254 }; /* TensorFlow's own limit */

/* An operation being computed: its context, and what has to be given back at the end. */
typedef struct {
    TF_OpKernelContext *context;
    TF_Status *status;
    TF_Tensor *input[4];
    TF_Tensor *output;
} call;

static bool fail(call *c, TF_Code code, const char *message) {
    TF_SetStatus(c->status, code, message);
    return false;
}

static bool read_inputs(call *c, int count) {
    for (int i = 0; i < count; i++) {
        TF_GetInput(c->context, i, &c->input[i], c->status);
        if (TF_GetCode(c->status) != TF_OK)
            return false;
        if (!c->input[i])
            return fail(c, TF_INTERNAL, "an input is missing");
    }
    return true;
}

/* Makes room for the output. TensorFlow ends the process where the product of an output's
 * dimensions overflows, so it is never asked for one that does. */
static bool allocate(call *c, TF_DataType type, const int64_t *dimensions, int rank) {
    int64_t bytes = (int64_t)TF_DataTypeSize(type), limit = bytes;
    for (int i = 0; i < rank; i++) {
        if (dimensions[i] < 0)
            return fail(c, TF_INVALID_ARGUMENT, "a dimension is negative");
        if (__builtin_mul_overflow(limit, dimensions[i] ? dimensions[i] : 1, &limit))
            return fail(c, TF_INVALID_ARGUMENT, "the shape is too large");
        bytes *= dimensions[i];
    }
    c->output = TF_AllocateOutput(c->context, 0, type, dimensions, rank, (size_t)bytes, c->status);
    if (TF_GetCode(c->status) != TF_OK)
        return false;
    return c->output || fail(c, TF_RESOURCE_EXHAUSTED, "no memory for the output");
}

/* Computes an operation. The kernel may be run by several threads at once. */
static void run(void *kernel, TF_OpKernelContext *context, bool (*body)(void *, call *)) {
    call c = {.context = context, .status = TF_NewStatus()};
    if (!body(kernel, &c))
        TF_OpKernelContext_Failure(context, c.status);
    for (int i = 0; i < 4; i++)
        if (c.input[i])
            TF_DeleteTensor(c.input[i]);
    if (c.output)
        TF_DeleteTensor(c.output);
    TF_DeleteStatus(c.status);
}

/* Randomness */

static bool seed(void *kernel, call *c) {
    (void)kernel;
    const int64_t dimension = KIT_SEED_BYTES / 4;
    if (!allocate(c, TF_INT32, &dimension, 1))
        return false;
    if (kit_seed(TF_TensorData(c->output)))
        return fail(c, TF_INTERNAL, "the kernel gave no seed");
    return true;
}

/* A generator for each of TensorFlow's threads, made when one first needs it. */
static pthread_key_t generator_key;
static bool generator_key_made;

static void free_generator(void *random) {
    kit_random_free(random);
}

static kit_random *generator(void) {
    if (!generator_key_made)
        return NULL;
    kit_random *random = pthread_getspecific(generator_key);
    if (random)
        return random;
    random = kit_random_new();
    if (random && pthread_setspecific(generator_key, random)) {
        kit_random_free(random);
        return NULL;
    }
    return random;
}

static int64_t integer(const TF_Tensor *tensor, int64_t index) {
    const void *data = TF_TensorData(tensor);
    switch (TF_TensorType(tensor)) {
    case TF_INT8:
        return ((const int8_t *)data)[index];
    case TF_INT16:
        return ((const int16_t *)data)[index];
    case TF_INT32:
        return ((const int32_t *)data)[index];
    default:
        return ((const int64_t *)data)[index];
    }
}

/* The elements' type as random.h knows it. */
static int type_of(TF_DataType type) {
    switch (type) {
    case TF_INT8:
        return 0;
    case TF_INT16:
        return 1;
    case TF_INT32:
        return 2;
    default:
        return 3;
    }
}

static bool uniform(void *kernel, call *c) {
    (void)kernel;
    if (!read_inputs(c, 4))
        return false;
    const TF_Tensor *shape = c->input[0], *key = c->input[1];
    const TF_Tensor *minval = c->input[2], *maxval = c->input[3];
    const TF_DataType type = TF_ExpectedOutputDataType(c->context, 0);

    if (TF_NumDims(shape) != 1 || TF_Dim(shape, 0) > MAX_RANK)
        return fail(c, TF_INVALID_ARGUMENT, "shape is not a vector of dimensions");
    if (TF_NumDims(key) != 1 || TF_Dim(key, 0) != KIT_SEED_BYTES / 4)
        return fail(c, TF_INVALID_ARGUMENT, "seed is not a vector of 8 integers");
    if (TF_TensorElementCount(minval) != 1 || TF_TensorElementCount(maxval) != 1)
        return fail(c, TF_INVALID_ARGUMENT, "minval or maxval is not one integer");
    const int64_t low = integer(minval, 0), high = integer(maxval, 0);
    if (low >= high)
        return fail(c, TF_INVALID_ARGUMENT, "minval is not below maxval");

    int64_t dimensions[MAX_RANK];
    const int rank = (int)TF_Dim(shape, 0);
    for (int i = 0; i < rank; i++)
        dimensions[i] = integer(shape, i);
    if (!allocate(c, type, dimensions, rank))
        return false;

    /* maxval is exclusive, and its type cannot hold the number after the largest: a caller that
     * wants the whole ring can only write the smallest and the largest, which is how tf-encrypted
     * asks for a mask. Leaving the largest out would make it slightly less than perfect. */
    const int64_t largest = INT64_MAX >> (64 - 8 * TF_DataTypeSize(type));
    const bool ring = low == -largest - 1 && high == largest;
    const uint64_t range = ring ? 0 : (uint64_t)high - (uint64_t)low;
    kit_random *random = generator();
    if (!random)
        return fail(c, TF_INTERNAL, "OpenSSL's AES-256-CTR is not available");
    if (kit_uniform(random, TF_TensorData(key), type_of(type), low, range,
                    TF_TensorElementCount(c->output), TF_TensorData(c->output)))
        return fail(c, TF_INTERNAL, "the random generator failed");
    return true;
}

/* Bits */

typedef struct {
    int64_t start, stride;
} progression;

static void *create_progression(TF_OpKernelConstruction *construction, bool with_start) {
    TF_Status *status = TF_NewStatus();
    progression *p = calloc(1, sizeof *p);
    if (!p)
        TF_SetStatus(status, TF_RESOURCE_EXHAUSTED, "no memory for the operation");
    if (p && with_start)
        TF_OpKernelConstruction_GetAttrInt64(construction, "start", &p->start, status);
    if (p && TF_GetCode(status) == TF_OK)
        TF_OpKernelConstruction_GetAttrInt64(construction, "stride", &p->stride, status);
    if (TF_GetCode(status) != TF_OK) {
        TF_OpKernelConstruction_Failure(construction, status);
        free(p);
        p = NULL;
    }
    TF_DeleteStatus(status);
    return p;
}

static void *create_split(TF_OpKernelConstruction *c) {
    return create_progression(c, false);
}
static void *create_gather(TF_OpKernelConstruction *c) {
    return create_progression(c, true);
}

/* Reads x and makes room for the output: as large as x, or `copies` times as large where that is
 * not 0, along a new first dimension. */
static bool prepare(call *c, int64_t copies) {
    if (!read_inputs(c, 1))
        return false;
    const TF_Tensor *x = c->input[0];
    if (TF_NumDims(x) >= MAX_RANK)
        return fail(c, TF_INVALID_ARGUMENT, "x has too many dimensions");
    int64_t dimensions[MAX_RANK];
    int rank = 0;
    if (copies)
        dimensions[rank++] = copies;
    for (int i = 0; i < TF_NumDims(x); i++)
        dimensions[rank++] = TF_Dim(x, i);
    return allocate(c, TF_TensorType(x), dimensions, rank);
}

static int size(const call *c) {
    return (int)TF_DataTypeSize(TF_TensorType(c->input[0]));
}
static int64_t count(const call *c) {
    return TF_TensorElementCount(c->input[0]);
}
static const void *x(const call *c) {
    return TF_TensorData(c->input[0]);
}
static void *out(const call *c) {
    return TF_TensorData(c->output);
}

static const char out_of_bits[] = "start or stride is not within the bits of an element";

static bool split(void *kernel, call *c) {
    const progression *p = kernel;
    if (p->stride < 1 || p->stride > 64)
        return fail(c, TF_INVALID_ARGUMENT, out_of_bits);
    if (!prepare(c, p->stride))
        return false;
    if (kit_bit_split(size(c), p->stride, count(c), x(c), out(c)))
        return fail(c, TF_INVALID_ARGUMENT, out_of_bits);
    return true;
}

static bool gather(void *kernel, call *c) {
    const progression *p = kernel;
    if (!prepare(c, 0))
        return false;
    if (kit_bit_gather(size(c), p->start, p->stride, count(c), x(c), out(c)))
        return fail(c, TF_INVALID_ARGUMENT, out_of_bits);
    return true;
}

static bool reverse(void *kernel, call *c) {
    (void)kernel;
    if (!prepare(c, 0))
        return false;
    if (kit_bit_reverse(size(c), count(c), x(c), out(c)))
        return fail(c, TF_INTERNAL, "bits of such elements cannot be reversed");
    return true;
}

static bool xor_indices(void *kernel, call *c) {
    (void)kernel;
    if (!prepare(c, 0))
        return false;
    if (kit_xor_indices(size(c), count(c), x(c), out(c)))
        return fail(c, TF_INTERNAL, "positions in such elements cannot be combined");
    return true;
}

static void compute_seed(void *k, TF_OpKernelContext *c) {
    run(k, c, seed);
}
static void compute_uniform(void *k, TF_OpKernelContext *c) {
    run(k, c, uniform);
}
static void compute_split(void *k, TF_OpKernelContext *c) {
    run(k, c, split);
}
static void compute_gather(void *k, TF_OpKernelContext *c) {
    run(k, c, gather);
}
static void compute_reverse(void *k, TF_OpKernelContext *c) {
    run(k, c, reverse);
}
static void compute_xor_indices(void *k, TF_OpKernelContext *c) {
    run(k, c, xor_indices);
}

/* Registration */

typedef struct {
    const char *name;
    bool stateful; /* never folded into a constant, never shared between equal nodes */
    const char *inputs[5], *output, *attributes[4];
    void *(*create)(TF_OpKernelConstruction *);
    void (*compute)(void *, TF_OpKernelContext *);
    void (*destroy)(void *);
} operation;

#define INTEGERS "{int8, int16, int32, int64}"

static const operation operations[] = {
    {.name = "KitSeed", .stateful = true, .output = "seed: int32", .compute = compute_seed},
    {.name = "KitUniform",
     .inputs = {"shape: Tshape", "seed: int32", "minval: dtype", "maxval: dtype"},
     .output = "output: dtype",
     .attributes = {"dtype: " INTEGERS, "Tshape: {int32, int64} = DT_INT32"},
     .compute = compute_uniform},
    {.name = "KitBitSplit",
     .inputs = {"x: T"},
     .output = "y: T",
     .attributes = {"stride: int", "T: " INTEGERS},
     .create = create_split,
     .compute = compute_split,
     .destroy = free},
    {.name = "KitBitGather",
     .inputs = {"x: T"},
     .output = "y: T",
     .attributes = {"start: int", "stride: int", "T: " INTEGERS},
     .create = create_gather,
     .compute = compute_gather,
     .destroy = free},
    {.name = "KitBitReverse",
     .inputs = {"x: T"},
     .output = "y: T",
     .attributes = {"T: " INTEGERS},
     .compute = compute_reverse},
    {.name = "KitXorIndices",
     .inputs = {"x: T"},
     .output = "y: T",
     .attributes = {"T: " INTEGERS},
     .compute = compute_xor_indices},
};

/* When TensorFlow loads the library. What cannot be registered is left out: the operation is then
 * missing from the module that TensorFlow makes of the library, which party/compiler/compat does
 * not accept, or it has no kernel, which TensorFlow refuses to run. */
__attribute__((constructor)) static void register_operations(void) {
    generator_key_made = !pthread_key_create(&generator_key, free_generator);
    TF_Status *status = TF_NewStatus();
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        const operation *o = &operations[i];
        TF_OpDefinitionBuilder *definition = TF_NewOpDefinitionBuilder(o->name);
        for (const char *const *a = o->attributes; *a; a++)
            TF_OpDefinitionBuilderAddAttr(definition, *a);
        for (const char *const *in = o->inputs; *in; in++)
            TF_OpDefinitionBuilderAddInput(definition, *in);
        TF_OpDefinitionBuilderAddOutput(definition, o->output);
        if (o->stateful) /* TensorFlow does not look at the argument */
            TF_OpDefinitionBuilderSetIsStateful(definition, true);
        TF_RegisterOpDefinition(definition, status);
        if (TF_GetCode(status) != TF_OK)
            break;
        TF_RegisterKernelBuilder(
            o->name, TF_NewKernelBuilder(o->name, "CPU", o->create, o->compute, o->destroy),
            status);
        if (TF_GetCode(status) != TF_OK)
            break;
    }
    TF_DeleteStatus(status);
}
