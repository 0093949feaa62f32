/* Runs a schedule: a straight list of instructions over one arena of memory, step after step.
 *
 * One thread, no allocation within a step. Messages to a peer gather in a queue that leaves in one
 * write; long ones begin to leave at once. What peers send is read into one ring each, whose size
 * is the window by which a peer may run ahead; what is awaited goes straight to its place. */
#ifndef KIT_EXECUTOR_H
#define KIT_EXECUTOR_H

#include "channel.h"
#include "instructions.h"
#include "spill.h"

#pragma GCC visibility push(default)

enum { KIT_PARTIES = 3 };

/* A peer that is alive may keep what is due back for so many times the limit of silence. */
enum { KIT_PATIENCE = 10 };

enum kit_error_kind {
    KIT_ERROR_NONE = 0,
    KIT_ERROR_PEER_GONE = 1,  /* peer ended its connection, or died */
    KIT_ERROR_BAD_FRAME = 2,  /* peer sent something other than what the schedule expects */
    KIT_ERROR_ABORTED = 3,    /* peer gave up and names the culprit */
    KIT_ERROR_STOPPED = 4,    /* kit_executor_stop */
    KIT_ERROR_TIME_LIMIT = 5, /* the run took too long; peer: whom it was waiting for, or -1 */
    KIT_ERROR_SILENCE = 6,    /* nothing came from peer for too long */
    KIT_ERROR_STALLED = 7,    /* peer is alive, but holds up what is due for too long */
    KIT_ERROR_ARITHMETIC = 8, /* trouble: enum kit_trouble; instruction says where */
    KIT_ERROR_SYSTEM = 9,     /* text has the words */
};

typedef struct {
    uint64_t step;
    uint32_t key;
    uint32_t bytes;
} kit_frame;

typedef struct {
    int32_t kind;
    int32_t peer;
    int32_t culprit;
    int32_t trouble;
    int32_t final; /* it cannot be mended by connecting again */
    int32_t unused;
    int64_t step;
    int64_t instruction;
    kit_frame expected; /* of a bad frame */
    kit_frame got;
    char text[KIT_TEXT_BYTES];
} kit_error;

typedef struct {
    int64_t progress; /* steps done in all runs; may be read while one goes on */
    int64_t bytes_sent, bytes_received;
    int64_t messages_sent, messages_received;
    int64_t writes; /* system calls that wrote */
    int64_t waits;  /* times it slept until a peer was heard of */
} kit_counters;

typedef struct kit_executor kit_executor;

/* Connections by party, NULL where there is none; window in bytes; spill: the shares that lie in a
 * file and not in the arena, or NULL. The arena, the index pool, the connections and the spill stay
 * the caller's and outlive the executor. NULL when out of memory. */
kit_executor *kit_executor_new(uint8_t *arena, const int32_t *index,
                               kit_connection *const connections[KIT_PARTIES], int me,
                               const int64_t window[KIT_PARTIES], int spin, kit_spill *spill);
void kit_executor_free(kit_executor *executor);

typedef struct {
    const kit_instruction *code;
    int64_t count;
    int64_t first_step, steps;
    const int32_t *rows; /* for each step as many as INPUT, TAKE and PUT say */
    int64_t row_count;
    const void *table;
    int64_t table_rows, table_columns;
    int64_t table_element;            /* bytes: 4 of float32, 8 of int64 */
    double time_limit, silence_limit; /* seconds; 0: none */
} kit_program;

/* 0, or -1 with the error told: then the peers have been told as well and the executor is over. */
int kit_executor_run(kit_executor *executor, const kit_program *program, kit_error *error);

/* Between two runs: 0 once every party has got to this step and said its number, by party. */
int kit_executor_meet(kit_executor *executor, int64_t step, uint64_t said,
                      uint64_t heard[KIT_PARTIES], double time_limit, double silence_limit,
                      kit_error *error);

/* Ends all connections in order: 0 once every peer has said that it sends no more. */
int kit_executor_finish(kit_executor *executor, double time_limit, double silence_limit,
                        kit_error *error);

/* From any thread or signal handler: a running or later run ends with KIT_ERROR_STOPPED. */
void kit_executor_stop(kit_executor *executor);

const kit_counters *kit_executor_counters(kit_executor *executor);

/* 4, 3 or 0: which variant of this library suits the processor (x86-64-v4, -v3, any). */
int kit_cpu_level(void);

#pragma GCC visibility pop
#endif
