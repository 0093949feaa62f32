/* The few functions of TensorFlow's C API that kernels.c calls, declared here so that building
 * needs no TensorFlow. They are part of its stable API (tensorflow/c/{tf_status,tf_tensor,ops,
 * kernels}.h, the same from 2.12 to 2.21) and resolved from the TensorFlow that loads the library.
 */
#ifndef KIT_TF_C_API_H
#define KIT_TF_C_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct TF_Status TF_Status;
typedef struct TF_Tensor TF_Tensor;
typedef struct TF_OpDefinitionBuilder TF_OpDefinitionBuilder;
typedef struct TF_KernelBuilder TF_KernelBuilder;
typedef struct TF_OpKernelConstruction TF_OpKernelConstruction;
typedef struct TF_OpKernelContext TF_OpKernelContext;

typedef enum {
    TF_OK = 0,
    TF_INVALID_ARGUMENT = 3,
    TF_RESOURCE_EXHAUSTED = 8,
    TF_INTERNAL = 13,
} TF_Code;

typedef enum { TF_INT32 = 3, TF_INT16 = 5, TF_INT8 = 6, TF_INT64 = 9 } TF_DataType;

TF_Status *TF_NewStatus(void); /* never NULL: memory that runs out ends the process */
void TF_DeleteStatus(TF_Status *status);
void TF_SetStatus(TF_Status *status, TF_Code code, const char *message);
TF_Code TF_GetCode(const TF_Status *status);

void TF_DeleteTensor(TF_Tensor *tensor);
TF_DataType TF_TensorType(const TF_Tensor *tensor);
int TF_NumDims(const TF_Tensor *tensor);
int64_t TF_Dim(const TF_Tensor *tensor, int dimension);
void *TF_TensorData(const TF_Tensor *tensor);
int64_t TF_TensorElementCount(const TF_Tensor *tensor);
size_t TF_DataTypeSize(TF_DataType type);

TF_OpDefinitionBuilder *TF_NewOpDefinitionBuilder(const char *name);
void TF_OpDefinitionBuilderAddAttr(TF_OpDefinitionBuilder *builder, const char *specification);
void TF_OpDefinitionBuilderAddInput(TF_OpDefinitionBuilder *builder, const char *specification);
void TF_OpDefinitionBuilderAddOutput(TF_OpDefinitionBuilder *builder, const char *specification);
void TF_OpDefinitionBuilderSetIsStateful(TF_OpDefinitionBuilder *builder, bool stateful);
void TF_RegisterOpDefinition(TF_OpDefinitionBuilder *builder, TF_Status *status);

TF_KernelBuilder *TF_NewKernelBuilder(const char *op, const char *device,
                                      void *(*create)(TF_OpKernelConstruction *),
                                      void (*compute)(void *, TF_OpKernelContext *),
                                      void (*destroy)(void *));
void TF_RegisterKernelBuilder(const char *op, TF_KernelBuilder *builder, TF_Status *status);

void TF_OpKernelConstruction_Failure(TF_OpKernelConstruction *construction, TF_Status *status);
void TF_OpKernelConstruction_GetAttrInt64(TF_OpKernelConstruction *construction, const char *name,
                                          int64_t *value, TF_Status *status);

void TF_OpKernelContext_Failure(TF_OpKernelContext *context, TF_Status *status);
void TF_GetInput(TF_OpKernelContext *context, int index, TF_Tensor **tensor, TF_Status *status);
TF_DataType TF_ExpectedOutputDataType(TF_OpKernelContext *context, int index);
TF_Tensor *TF_AllocateOutput(TF_OpKernelContext *context, int index, TF_DataType type,
                             const int64_t *dimensions, int rank, size_t bytes, TF_Status *status);

#endif
