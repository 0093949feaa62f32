/* Drives the TensorFlow operations against a TensorFlow made of faults: every call of its interface
 * that can fail is made to fail in turn, and what the operation was given must have been given back
 * and the failure reported. Built with the sanitizers, with kernels.c, random.c and bits.c. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../party/native/tf_c_api.h"

struct TF_Status {
    TF_Code code;
};
struct TF_Tensor {
    TF_DataType type;
    int rank;
    int64_t dimensions[256];
    void *data;
};
struct TF_OpKernelContext {
    TF_Tensor *inputs;
    TF_DataType type;
    TF_Code failure;
    TF_Tensor output;
};
struct TF_OpKernelConstruction {
    int64_t start, stride;
    TF_Code failure;
};
struct TF_OpDefinitionBuilder {
    bool stateful;
};
struct TF_KernelBuilder {
    void *(*create)(TF_OpKernelConstruction *);
    void (*compute)(void *, TF_OpKernelContext *);
    void (*destroy)(void *);
};

static int calls_until_fault = -1; /* never */
static int alive;                  /* statuses and tensors not given back */

static bool fault(TF_Status *status) {
    if (calls_until_fault != 0) {
        calls_until_fault -= calls_until_fault > 0;
        return false;
    }
    calls_until_fault = -1;
    status->code = TF_INTERNAL;
    return true;
}

TF_Status *TF_NewStatus(void) {
    alive++;
    return calloc(1, sizeof(TF_Status));
}
void TF_DeleteStatus(TF_Status *status) {
    alive--;
    free(status);
}
void TF_SetStatus(TF_Status *status, TF_Code code, const char *message) {
    assert(message && *message);
    status->code = code;
}
TF_Code TF_GetCode(const TF_Status *status) {
    return status->code;
}

void TF_DeleteTensor(TF_Tensor *tensor) {
    alive--;
    free(tensor);
}
TF_DataType TF_TensorType(const TF_Tensor *tensor) {
    return tensor->type;
}
int TF_NumDims(const TF_Tensor *tensor) {
    return tensor->rank;
}
int64_t TF_Dim(const TF_Tensor *tensor, int dimension) {
    return tensor->dimensions[dimension];
}
void *TF_TensorData(const TF_Tensor *tensor) {
    return tensor->data;
}
int64_t TF_TensorElementCount(const TF_Tensor *tensor) {
    int64_t count = 1;
    for (int i = 0; i < tensor->rank; i++)
        count *= tensor->dimensions[i];
    return count;
}
size_t TF_DataTypeSize(TF_DataType type) {
    return type == TF_INT8 ? 1 : type == TF_INT16 ? 2 : type == TF_INT32 ? 4 : 8;
}

static TF_Tensor *reference(const TF_Tensor *tensor) {
    TF_Tensor *copy = malloc(sizeof *copy);
    assert(copy);
    *copy = *tensor;
    alive++;
    return copy;
}

void TF_GetInput(TF_OpKernelContext *context, int index, TF_Tensor **tensor, TF_Status *status) {
    if (!fault(status))
        *tensor = reference(&context->inputs[index]);
}
TF_DataType TF_ExpectedOutputDataType(TF_OpKernelContext *context, int index) {
    assert(index == 0);
    return context->type;
}
TF_Tensor *TF_AllocateOutput(TF_OpKernelContext *context, int index, TF_DataType type,
                             const int64_t *dimensions, int rank, size_t bytes, TF_Status *status) {
    assert(index == 0 && rank < 256);
    if (fault(status))
        return NULL;
    context->output = (TF_Tensor){.type = type, .rank = rank};
    memcpy(context->output.dimensions, dimensions, (size_t)rank * sizeof *dimensions);
    assert(bytes == (size_t)TF_TensorElementCount(&context->output) * TF_DataTypeSize(type));
    context->output.data =
        malloc(bytes); /* exactly: a byte too many is an error to the sanitizer */
    return reference(&context->output);
}
void TF_OpKernelContext_Failure(TF_OpKernelContext *context, TF_Status *status) {
    assert(status->code != TF_OK);
    context->failure = status->code;
}

void TF_OpKernelConstruction_GetAttrInt64(TF_OpKernelConstruction *construction, const char *name,
                                          int64_t *value, TF_Status *status) {
    if (!fault(status))
        *value = strcmp(name, "start") ? construction->stride : construction->start;
}
void TF_OpKernelConstruction_Failure(TF_OpKernelConstruction *construction, TF_Status *status) {
    assert(status->code != TF_OK);
    construction->failure = status->code;
}

TF_OpDefinitionBuilder *TF_NewOpDefinitionBuilder(const char *name) {
    (void)name;
    return calloc(1, sizeof(TF_OpDefinitionBuilder));
}
void TF_OpDefinitionBuilderAddAttr(TF_OpDefinitionBuilder *b, const char *s) {
    assert(b && s);
}
void TF_OpDefinitionBuilderAddInput(TF_OpDefinitionBuilder *b, const char *s) {
    assert(b && s);
}
void TF_OpDefinitionBuilderAddOutput(TF_OpDefinitionBuilder *b, const char *s) {
    assert(b && s);
}
void TF_OpDefinitionBuilderSetIsStateful(TF_OpDefinitionBuilder *b, bool s) {
    b->stateful = s;
}
void TF_RegisterOpDefinition(TF_OpDefinitionBuilder *builder, TF_Status *status) {
    (void)status;
    free(builder);
}

static struct {
    const char *op;
    TF_KernelBuilder kernel;
} registered[16];
static int count;

TF_KernelBuilder *TF_NewKernelBuilder(const char *op, const char *device,
                                      void *(*create)(TF_OpKernelConstruction *),
                                      void (*compute)(void *, TF_OpKernelContext *),
                                      void (*destroy)(void *)) {
    assert(!strcmp(device, "CPU"));
    registered[count].op = op;
    registered[count].kernel = (TF_KernelBuilder){create, compute, destroy};
    return &registered[count++].kernel;
}
void TF_RegisterKernelBuilder(const char *op, TF_KernelBuilder *builder, TF_Status *status) {
    assert(op && builder && status);
}

/* Makes and runs an operation once; gives how it failed, TF_OK if it did not. */
static TF_Code once(const char *op, TF_Tensor *inputs, TF_DataType type, int64_t start,
                    int64_t stride) {
    int i = 0;
    while (strcmp(registered[i].op, op))
        i++;
    const TF_KernelBuilder *kernel = &registered[i].kernel;
    TF_OpKernelConstruction construction = {.start = start, .stride = stride};
    TF_OpKernelContext context = {.inputs = inputs, .type = type};
    void *state = kernel->create ? kernel->create(&construction) : NULL;
    if (construction.failure == TF_OK)
        kernel->compute(state, &context);
    if (kernel->destroy)
        kernel->destroy(state);
    free(context.output.data);
    assert(alive == 0);
    return construction.failure ? construction.failure : context.failure;
}

/* Runs an operation that should succeed with its first call failing, its second, and so on. */
static void with_every_fault(const char *op, TF_Tensor *inputs, TF_DataType type, int64_t start,
                             int64_t stride, int calls) {
    for (int i = 0; i < calls; i++) {
        calls_until_fault = i;
        assert(once(op, inputs, type, start, stride) == TF_INTERNAL);
        assert(calls_until_fault == -1);
    }
    calls_until_fault = calls;
    assert(once(op, inputs, type, start, stride) == TF_OK);
    assert(calls_until_fault == 0);
    calls_until_fault = -1;
}

int main(void) {
    assert(count == 6);
    with_every_fault("KitSeed", NULL, TF_INT32, 0, 0, 1);

    const TF_DataType types[] = {TF_INT8, TF_INT16, TF_INT32, TF_INT64};
    int32_t seed[8] = {1, 2, 3};
    int64_t low = 0, high = 100;
    for (int t = 0; t < 4; t++) {
        for (int32_t n = 0; n < 40; n++) {
            const int32_t shape[2] = {n, 3};
            int32_t exact[2] = {shape[0], shape[1]};
            TF_Tensor inputs[4] = {{TF_INT32, 1, {2}, exact},
                                   {TF_INT32, 1, {8}, seed},
                                   {types[t], 0, {0}, &low},
                                   {types[t], 0, {0}, &high}};
            with_every_fault("KitUniform", inputs, types[t], 0, 0, 5);

            const size_t bytes = (size_t)n * TF_DataTypeSize(types[t]);
            void *data = malloc(bytes);
            assert(data || !bytes);
            if (bytes)
                memset(data, 0xb5, bytes);
            TF_Tensor x = {types[t], 1, {n}, data};
            with_every_fault("KitBitSplit", &x, types[t], 0, 2, 3);
            with_every_fault("KitBitGather", &x, types[t], 1, 3, 4);
            with_every_fault("KitBitReverse", &x, types[t], 0, 0, 2);
            with_every_fault("KitXorIndices", &x, types[t], 0, 0, 2);
            for (int64_t wrong = -1; wrong <= 0; wrong++) {
                assert(once("KitBitSplit", &x, types[t], 0, wrong) == TF_INVALID_ARGUMENT);
                assert(once("KitBitGather", &x, types[t], 0, wrong) == TF_INVALID_ARGUMENT);
            }
            assert(once("KitBitSplit", &x, types[t], 0, INT64_MAX) == TF_INVALID_ARGUMENT);
            assert(once("KitBitGather", &x, types[t], INT64_MIN, 1) == TF_INVALID_ARGUMENT);
            assert(once("KitBitGather", &x, types[t], 64, 1) == TF_INVALID_ARGUMENT);
            free(data);
        }
    }
    puts("every fault was reported and nothing was kept");
    return 0;
}
