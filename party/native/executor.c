#define _GNU_SOURCE
#include "executor.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "arithmetic.h"
#include "bits.h"
#include "random.h"
#include "spill.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "frames are little-endian");
_Static_assert(sizeof(kit_frame) == 16, "a frame's header has no padding");

enum { FRAME = sizeof(kit_frame), SMALLEST_RING = 1 << 16, LAST_WORDS_MS = 250, LAST_READS = 256 };

/* Payloads from LONG bytes on are not gathered. Before the first piece of one the queue is filled
 * up to a multiple of what a TLS record carries. */
enum { LONG = 1 << 16, FILLING = 1 << 14 };

enum { LOOK_NS = 10000000 }; /* 10 ms: how often who waits for nobody reads all the same */

enum { ASK_NS = 1000000000 }; /* how often who waits asks whether the peers' machines answer */

/* Keys of frames that are not part of the plan. The first says that its sender gave up for good,
 * `step` being the culprit; the second only that its sender is alive, which a party says now and
 * then so that one that waits can be told from one that is stuck; the third that its sender left
 * because of `step`, and may come back; the fourth is what parties that meet tell each other. */
#define KEY_ABORT 0xFFFFFFFFu
#define KEY_ALIVE 0xFFFFFFFEu
#define KEY_LEAVE 0xFFFFFFFDu
#define KEY_MEET 0xFFFFFFFCu

enum { MEETING = FRAME + sizeof(uint64_t) };

typedef struct {
    kit_connection *connection;
    /* what came and is not consumed yet: stream positions head..tail, at `position - base` modulo
     * the capacity, a power of two */
    uint8_t *ring;
    uint64_t capacity, base, head, tail;
    uint64_t scanned; /* where the next header is that has not been looked at for control keys */
    /* the rest of an awaited payload: while there is one the ring is empty, and what comes is read
     * straight into its place */
    uint8_t *into;
    uint64_t wanted;
    int fresh;   /* bytes came since the last look */
    int closed;  /* it said that it sends no more */
    int ended;   /* we said so */
    int failed;  /* the connection is broken */
    int culprit; /* whom it names while giving up, or -1 */
    int final;   /* that was for good */
    /* what waits to be sent */
    uint8_t *queue;
    size_t room, queued, sent;
    int blocked; /* OpenSSL holds a record of the queue's: it must see the same bytes again */
} peer;

struct kit_executor {
    uint8_t *arena;
    const int32_t *index;
    peer peers[KIT_PARTIES];
    int me, spin;
    int stop_event;
    atomic_int stopped;
    int over;
    kit_random *random;
    kit_spill *spill; /* NULL: all shares lie in the arena */
    kit_counters counters;
    /* of the present run */
    int64_t step;
    int64_t instruction;
    int64_t deadline, silence, waiting, beaten, looked, asked; /* ns; 0: none */
    int64_t again; /* since when a peer was waited for that was looked at once more */
    kit_error *error;
};

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t nanoseconds(double seconds) {
    return seconds <= 0 ? 0 : seconds > 1e9 ? (int64_t)1e18 : (int64_t)(seconds * 1e9) + 1;
}

/* ---- errors ---- */

static int fail(kit_executor *e, enum kit_error_kind kind, int who, const char *text) {
    kit_error *f = e->error;
    memset(f, 0, sizeof *f);
    f->kind = (int32_t)kind;
    f->peer = who;
    /* Whoever is awaited when the time is up, the limit was ours. */
    f->culprit = who < 0 || kind == KIT_ERROR_TIME_LIMIT ? e->me : who;
    f->final = kind != KIT_ERROR_PEER_GONE && kind != KIT_ERROR_SILENCE &&
               kind != KIT_ERROR_STALLED && kind != KIT_ERROR_STOPPED;
    f->step = e->step;
    f->instruction = e->instruction;
    snprintf(f->text, sizeof f->text, "%s", text);
    return -1;
}

static int bad_frame(kit_executor *e, int who, kit_frame expected, kit_frame got) {
    fail(e, KIT_ERROR_BAD_FRAME, who, "");
    e->error->expected = expected;
    e->error->got = got;
    return -1;
}

static int aborted(kit_executor *e, int who) {
    const int culprit = e->peers[who].culprit;
    if (culprit >= KIT_PARTIES)
        return bad_frame(e, who, (kit_frame){0}, (kit_frame){(uint64_t)culprit, KEY_ABORT, 0});
    fail(e, KIT_ERROR_ABORTED, who, "");
    e->error->culprit = culprit;
    e->error->final = e->peers[who].final;
    return -1;
}

/* ---- receiving ---- */

static void copy_out(const peer *p, uint64_t position, void *out, size_t bytes) {
    const size_t at = (position - p->base) & (p->capacity - 1);
    const size_t first = bytes < p->capacity - at ? bytes : p->capacity - at;
    memcpy(out, p->ring + at, first);
    memcpy((uint8_t *)out + first, p->ring, bytes - first);
}

static void consume(peer *p, uint64_t bytes) {
    p->head += bytes;
    if (p->head == p->tail)
        p->base = p->head; /* start over at the ring's beginning, which is in the cache */
}

/* Walks over the headers that have come in, for one that says that the peer gave up. */
static void scan(peer *p) {
    while (p->scanned + FRAME <= p->tail) {
        kit_frame frame;
        copy_out(p, p->scanned, &frame, FRAME);
        p->scanned += FRAME + (uint64_t)frame.bytes;
        if ((frame.key == KEY_ABORT || frame.key == KEY_LEAVE) && p->culprit < 0) {
            p->culprit = frame.step < KIT_PARTIES ? (int)frame.step : KIT_PARTIES;
            p->final = frame.key == KEY_ABORT;
        }
    }
}

/* Reads what has come from a peer, as far as its ring has room. Says whether anything came. */
static int pump(kit_executor *e, int who) {
    peer *p = &e->peers[who];
    int came = 0;
    while (p->connection && !p->closed && !p->failed) {
        const uint64_t at = (p->tail - p->base) & (p->capacity - 1);
        const uint64_t room = p->capacity - (p->tail - p->head);
        const uint64_t piece = room < p->capacity - at ? room : p->capacity - at;
        if (piece == 0)
            break;
        const int64_t got = p->wanted
                                ? kit_connection_read(p->connection, p->into, (int64_t)p->wanted)
                                : kit_connection_read(p->connection, p->ring + at, (int64_t)piece);
        if (got <= 0) {
            p->closed = got == KIT_CLOSED;
            p->failed = got == KIT_FAILED;
            break;
        }
        p->tail += (uint64_t)got;
        if (p->wanted) {
            p->into += got;
            p->wanted -= (uint64_t)got;
            consume(p, (uint64_t)got);
        }
        e->counters.bytes_received += got;
        p->fresh = came = 1;
        if (p->scanned < p->tail)
            scan(p);
        if (!kit_connection_pending(p->connection))
            break;
    }
    return came;
}

static int pump_all(kit_executor *e) {
    int came = 0;
    for (int who = 0; who < KIT_PARTIES; who++)
        came |= pump(e, who);
    return came;
}

/* A peer with which nothing can be exchanged any more: what it sent before may name the culprit. */
static int peer_gone(kit_executor *e, int who) {
    peer *p = &e->peers[who];
    char text[KIT_TEXT_BYTES];
    snprintf(text, sizeof text, "%s",
             p->failed ? kit_connection_error(p->connection)
                       : "the peer has closed the connection");
    p->failed = 0;
    int reads = 0;
    do /* nobody will read what is there: make room for its last words, if it comes to them */
        consume(p, (p->scanned < p->tail ? p->scanned : p->tail) - p->head);
    while (pump(e, who) && ++reads < LAST_READS);
    p->failed = 1;
    if (p->culprit >= 0)
        return aborted(e, who);
    return fail(e, KIT_ERROR_PEER_GONE, who, text);
}

/* Whether some peer has given up or died, awaited or not. */
static int troubled(kit_executor *e) {
    for (int who = 0; who < KIT_PARTIES; who++) {
        const peer *p = &e->peers[who];
        if (!p->connection)
            continue;
        if (p->culprit >= 0)
            return aborted(e, who);
        if (p->failed)
            return peer_gone(e, who);
    }
    return 0;
}

static int stopped(kit_executor *e) {
    return atomic_load_explicit(&e->stopped, memory_order_relaxed);
}

/* ---- waiting ---- */

/* Whether the run has lasted too long, or what is waited for has: however often the peer says that
 * it is alive, and however little at a time it sends or takes. */
static int too_long(kit_executor *e, int who, int64_t time) {
    if (!e->waiting)
        e->waiting = time;
    if (e->deadline && time >= e->deadline)
        return fail(e, KIT_ERROR_TIME_LIMIT, who, "");
    if (e->silence && (time - e->waiting) / KIT_PATIENCE >= e->silence)
        return fail(e, KIT_ERROR_STALLED, who, "");
    return 0;
}

/* Whether this run is to end here; for where a peer could keep us from sleeping for ever. */
static int overdue(kit_executor *e, int who) {
    if (stopped(e))
        return fail(e, KIT_ERROR_STOPPED, -1, "");
    return too_long(e, who, now());
}

/* Lets every peer know, four times in the time after which silence counts as trouble, that we
 * are alive. Left out where a message is on its way: that tells as much. */
static void beat(kit_executor *e, int64_t time) {
    if (!e->silence || time - e->beaten < e->silence / 4)
        return;
    e->beaten = time;
    const kit_frame frame = {(uint64_t)e->step, KEY_ALIVE, 0};
    for (int who = 0; who < KIT_PARTIES; who++) {
        peer *p = &e->peers[who];
        if (!p->connection || p->failed || p->ended || p->blocked || p->sent ||
            kit_connection_flush(p->connection) != KIT_DONE)
            continue;
        /* our buffer is empty, so it takes this frame whole */
        if (kit_connection_write(p->connection, &frame, FRAME) == FRAME)
            kit_connection_flush(p->connection);
    }
}

/* Whether a peer's machine is gone without a word: of whoever is awaited, or the other one. */
static int unanswered(kit_executor *e, int64_t time) {
    if (!e->silence || time - e->asked < ASK_NS)
        return 0;
    e->asked = time;
    for (int who = 0; who < KIT_PARTIES; who++) {
        peer *p = &e->peers[who];
        if (p->connection && !p->closed && !p->failed &&
            kit_connection_unanswered(p->connection, KIT_UNANSWERED_MS)) {
            p->failed = 1;
            return peer_gone(e, who);
        }
    }
    return 0;
}

static int milliseconds(int64_t left) {
    return left <= 0 ? 0 : left > 3600000000000 ? 3600000 : (int)((left + 999999) / 1000000);
}

/* Sleeps until a peer is heard of, the awaited one can take more (writing), a limit has passed or
 * it is told to stop. `since` is when waiting for this peer began; 0 before the first call. */
static int sleep_for(kit_executor *e, int who, int writing, int64_t *since) {
    struct pollfd fds[KIT_PARTIES + 1];
    int owners[KIT_PARTIES + 1];
    nfds_t count = 0;
    fds[count++] = (struct pollfd){.fd = e->stop_event, .events = POLLIN};
    for (int k = 0; k < KIT_PARTIES; k++) {
        const peer *p = &e->peers[k];
        short events = 0;
        if (!p->connection)
            continue;
        if (!p->closed && !p->failed) /* with its ring full, only its end is of interest */
            events |= p->tail - p->head < p->capacity ? POLLIN : POLLRDHUP;
        if (writing && k == who)
            events |= POLLOUT;
        if (!events)
            continue;
        owners[count] = k;
        fds[count++] = (struct pollfd){kit_connection_fd(p->connection), events, 0};
    }
    const int64_t time = now();
    if (!*since)
        *since = time;
    if (too_long(e, who, time))
        return -1;
    if (e->silence && time - *since >= e->silence) {
        if (e->again == *since)
            return fail(e, KIT_ERROR_SILENCE, who, "");
        /* Who stood still itself may find that the peer has spoken meanwhile. */
        e->again = *since;
    }
    if (unanswered(e, time))
        return -1;
    beat(e, time);
    int64_t left = INT64_MAX;
    if (e->deadline)
        left = e->deadline - time;
    if (e->silence && *since + e->silence - time < left)
        left = *since + e->silence - time;
    if (e->silence && e->beaten + e->silence / 4 - time < left)
        left = e->beaten + e->silence / 4 - time;
    if (e->silence && e->asked + ASK_NS - time < left)
        left = e->asked + ASK_NS - time;
    e->counters.waits++;
    if (poll(fds, count, left == INT64_MAX ? -1 : milliseconds(left)) < 0)
        return errno == EINTR ? 0 : fail(e, KIT_ERROR_SYSTEM, -1, strerror(errno));
    for (nfds_t k = 1; k < count; k++)
        if (fds[k].events & POLLRDHUP && fds[k].revents & (POLLRDHUP | POLLHUP | POLLERR))
            return peer_gone(e, owners[k]);
    return 0;
}

/* Until something has come from the peer. All others are read meanwhile: one of them may be
 * unable to send it what it needs before we have taken what it sent to us. */
static int await_bytes(kit_executor *e, int who, int64_t *since) {
    peer *p = &e->peers[who];
    p->fresh = 0;
    for (int spin = 0;; spin++) {
        if (stopped(e))
            return fail(e, KIT_ERROR_STOPPED, -1, "");
        if (spin < e->spin)
            pump(e, who);
        else
            pump_all(e);
        if (p->fresh) {
            *since = 0;
            return 0;
        }
        if (troubled(e))
            return -1;
        if (p->closed)
            return peer_gone(e, who);
        if (spin >= e->spin && sleep_for(e, who, 0, since))
            return -1;
    }
}

/* ---- sending ---- */

/* Puts bytes into the queue, which was made large enough before the first step. */
static void enqueue(peer *p, const void *data, size_t bytes) {
    memcpy(p->queue + p->queued, data, bytes);
    p->queued += bytes;
}

/* Writes what is taken at once of the bytes that are to be sent next: KIT_DONE if that is all. */
static int offer(peer *p, const uint8_t *data, size_t bytes) {
    while (bytes) {
        const int64_t taken = kit_connection_write(p->connection, data, (int64_t)bytes);
        p->blocked = taken <= 0;
        if (taken <= 0)
            return taken == KIT_FAILED ? KIT_FAILED : KIT_WANT_WRITE;
        p->sent += (size_t)taken;
        data += taken;
        bytes -= (size_t)taken;
    }
    return KIT_DONE;
}

/* Sends of a peer's queue what it takes at once: KIT_DONE, KIT_WANT_WRITE or KIT_FAILED. */
static int send_some(peer *p) {
    const int offered = offer(p, p->queue + p->sent, p->queued - p->sent);
    if (offered != KIT_DONE)
        return offered;
    const int left = kit_connection_flush(p->connection);
    if (left == KIT_DONE)
        p->queued = p->sent = 0;
    return left;
}

static int flush(kit_executor *e, int who) {
    peer *p = &e->peers[who];
    int64_t since = 0;
    size_t before = 0;
    e->waiting = 0;
    for (;;) {
        const int sent = send_some(p);
        if (sent == KIT_DONE)
            return 0;
        if (sent == KIT_FAILED) {
            p->failed = 1;
            return peer_gone(e, who);
        }
        if (stopped(e))
            return fail(e, KIT_ERROR_STOPPED, -1, "");
        if (p->sent != before)
            since = 0;
        before = p->sent;
        p->fresh = 0;
        pump_all(e);
        if (troubled(e))
            return -1;
        if (p->fresh)
            since = 0;
        if (sleep_for(e, who, 1, &since))
            return -1;
    }
}

/* ---- messages ---- */

/* The message that is due next from a peer, into its place. */
static int take(kit_executor *e, int who, kit_frame expected, uint8_t *place) {
    peer *p = &e->peers[who];
    int64_t since = 0;
    kit_frame got;
    e->waiting = 0;
    do {
        while (p->tail - p->head < FRAME)
            if (await_bytes(e, who, &since))
                return -1;
        copy_out(p, p->head, &got, FRAME);
        if (got.key == KEY_ABORT || got.key == KEY_LEAVE)
            return aborted(e, who);
        if (got.key == KEY_ALIVE && got.bytes == 0) {
            consume(p, FRAME);
            if (overdue(e, who))
                return -1;
        } else if (memcmp(&got, &expected, FRAME) != 0)
            return bad_frame(e, who, expected, got);
    } while (got.key == KEY_ALIVE);
    consume(p, FRAME);
    const uint64_t there = p->tail - p->head, had = there < got.bytes ? there : got.bytes;
    copy_out(p, p->head, place, had);
    consume(p, had);
    p->into = place + had;
    p->wanted = got.bytes - had;
    while (p->wanted)
        if (await_bytes(e, who, &since))
            return -1;
    return 0;
}

static int receive(kit_executor *e, const kit_instruction *i) {
    const kit_frame expected = {(uint64_t)e->step, (uint32_t)i->p[1], (uint32_t)i->p[2]};
    if (take(e, (int)i->p[0], expected, e->arena + i->out))
        return -1;
    e->counters.messages_received++;
    return 0;
}

static void post(kit_executor *e, const kit_instruction *i) {
    const kit_frame frame = {(uint64_t)e->step, (uint32_t)i->p[1], (uint32_t)i->p[2]};
    peer *p = &e->peers[i->p[0]];
    const uint8_t *payload = e->arena + i->input[0], *end = payload + frame.bytes;
    enqueue(p, &frame, FRAME);
    if (frame.bytes >= LONG) {
        /* What is taken at once of a long payload need not be copied: the queue, which is sent up
         * to here, goes on as if it had been. */
        const size_t first = FILLING - p->queued % FILLING;
        enqueue(p, payload, first);
        payload += first;
        if (offer(p, p->queue + p->sent, p->queued - p->sent) == KIT_DONE) {
            offer(p, payload, (size_t)(end - payload)); /* flush will see if it fails */
            payload += p->sent - p->queued;
            p->queued = p->sent;
        }
    }
    enqueue(p, payload, (size_t)(end - payload));
    if (p->sent == p->queued)
        p->queued = p->sent = 0;
    e->counters.bytes_sent += FRAME + frame.bytes;
    e->counters.messages_sent++;
}

/* ---- one run ---- */

static const int32_t *rows_of_step(const kit_executor *e, const kit_program *program,
                                   const kit_instruction *i) {
    return program->rows + (e->step - program->first_step) * i->p[0];
}

/* Rows lie anywhere in memory: those that come next are asked for some rows ahead. */
enum { ROWS_AHEAD = 8, LINE = 64 };

static void ask_for(const void *row, size_t bytes) {
    for (size_t at = 0; at < bytes; at += LINE)
        __builtin_prefetch((const uint8_t *)row + at);
}

static void input(kit_executor *e, const kit_program *program, const kit_instruction *i) {
    const int32_t *rows = rows_of_step(e, program, i);
    const size_t element = (size_t)program->table_element;
    const size_t width = (size_t)i->p[1] * element;
    const size_t row = (size_t)program->table_columns * element;
    const uint8_t *table = (const uint8_t *)program->table + (size_t)i->p[2] * element;
    uint8_t *o = e->arena + i->out;
    for (int64_t r = 0; r < i->p[0]; r++, o += width) {
        if (r + ROWS_AHEAD < i->p[0])
            ask_for(table + (size_t)rows[r + ROWS_AHEAD] * row, width);
        memcpy(o, table + (size_t)rows[r] * row, width);
    }
}

static int in_or_out_of_file(kit_executor *e, const kit_instruction *i, int64_t share,
                             const int32_t *rows) {
    const char *failed = i->op == KIT_PUT
                             ? kit_spill_put(e->spill, share, rows, i->p[0], e->arena + i->input[0])
                             : kit_spill_take(e->spill, share, rows, i->p[0], e->arena + i->out);
    if (!failed)
        return 0;
    char text[KIT_TEXT_BYTES];
    snprintf(text, sizeof text, errno ? "%s: %s" : "%s", failed, strerror(errno));
    return fail(e, KIT_ERROR_SYSTEM, -1, text);
}

/* Between a batch and the rows of what lives from step to step. */
static int take_or_put(kit_executor *e, const kit_program *program, const kit_instruction *i) {
    const int32_t *rows = rows_of_step(e, program, i);
    const size_t width = (size_t)(i->p[1] * kit_type_size(i->type));
    const int put = i->op == KIT_PUT;
    const int64_t in_file = e->spill ? kit_spill_at(e->spill, put ? i->out : i->input[0], 0) : -1;
    if (in_file >= 0)
        return in_or_out_of_file(e, i, in_file, rows);
    uint8_t *batch = e->arena + (put ? i->input[0] : i->out);
    uint8_t *whole = e->arena + (put ? i->out : i->input[0]);
    for (int64_t r = 0; r < i->p[0]; r++) {
        uint8_t *one = batch + (size_t)r * width, *row = whole + (size_t)rows[r] * width;
        memcpy(put ? row : one, put ? one : row, width);
    }
    return 0;
}

static int execute(kit_executor *e, const kit_program *program, const kit_instruction *i) {
    const void *x = i->input[0] < 0 ? NULL : e->arena + i->input[0];
    void *o = i->out < 0 ? NULL : e->arena + i->out;
    const int size = kit_type_size(i->type);
    int failed = 0;
    switch (i->op) {
    case KIT_SEND:
        post(e, i);
        return 0;
    case KIT_FLUSH:
        return flush(e, (int)i->p[0]);
    case KIT_RECV:
        return receive(e, i);
    case KIT_INPUT:
        input(e, program, i);
        return 0;
    case KIT_TAKE:
    case KIT_PUT:
        return take_or_put(e, program, i);
    case KIT_SEED:
        if (kit_seed(o))
            return fail(e, KIT_ERROR_SYSTEM, -1, "the system has no randomness to give");
        return 0;
    case KIT_UNIFORM:
        if (kit_uniform(e->random, x, i->type, i->p[0], (uint64_t)i->p[1], i->n, o))
            return fail(e, KIT_ERROR_SYSTEM, -1, "the random generator failed");
        return 0;
    case KIT_BITSPLIT:
        failed = kit_bit_split(size, i->p[0], i->n, x, o);
        break;
    case KIT_BITGATHER:
        failed = kit_bit_gather(size, i->p[0], i->p[1], i->n, x, o);
        break;
    case KIT_BITREVERSE:
        failed = kit_bit_reverse(size, i->n, x, o);
        break;
    case KIT_XORINDICES:
        failed = kit_xor_indices(size, i->n, x, o);
        break;
    default: {
        const enum kit_trouble trouble = kit_compute(i, e->arena, e->index);
        if (trouble != KIT_FINE) {
            fail(e, KIT_ERROR_ARITHMETIC, -1, "");
            e->error->trouble = (int32_t)trouble;
            return -1;
        }
    }
    }
    return failed ? fail(e, KIT_ERROR_SYSTEM, -1, "a bit instruction with impossible parameters")
                  : 0;
}

/* Ring and queue for a program: the ring holds at least what a peer sends in one whole step, so
 * that no circle of parties can come about in which each is unable to send before another reads;
 * the queue holds the most that gathers before it is flushed. */
static int prepare(kit_executor *e, const kit_program *program) {
    for (int who = 0; who < KIT_PARTIES; who++) {
        peer *p = &e->peers[who];
        uint64_t step = 0;
        size_t queued = 0, room = 0;
        for (int64_t k = 0; k < program->count; k++) {
            const kit_instruction *i = &program->code[k];
            if (i->op != KIT_SEND && i->op != KIT_RECV && i->op != KIT_FLUSH)
                continue;
            if (i->p[0] < 0 || i->p[0] >= KIT_PARTIES || !e->peers[i->p[0]].connection ||
                (i->op != KIT_FLUSH &&
                 (i->p[1] < 0 || i->p[1] >= KEY_MEET || i->p[2] < 0 || i->p[2] > UINT32_MAX)))
                return fail(e, KIT_ERROR_SYSTEM, -1, "a message to nobody, or without bounds");
            if (i->p[0] != who)
                continue;
            if (i->op == KIT_RECV)
                step += FRAME + (uint64_t)i->p[2];
            else
                queued = i->op == KIT_FLUSH ? 0 : queued + FRAME + (size_t)i->p[2];
            if (queued > room)
                room = queued;
        }
        if (!p->connection)
            continue;
        uint64_t capacity = p->capacity;
        while (capacity < step)
            capacity *= 2;
        if (capacity > p->capacity) {
            uint8_t *ring = OPENSSL_malloc(capacity);
            if (!ring)
                return fail(e, KIT_ERROR_SYSTEM, -1, "out of memory");
            copy_out(p, p->head, ring, p->tail - p->head);
            OPENSSL_clear_free(p->ring, p->capacity);
            p->ring = ring;
            p->capacity = capacity;
            p->base = p->head;
        }
        room += FRAME; /* for the last word, should there be one */
        if (room > p->room) {
            uint8_t *queue = OPENSSL_malloc(room);
            if (!queue)
                return fail(e, KIT_ERROR_SYSTEM, -1, "out of memory");
            OPENSSL_clear_free(p->queue, p->room); /* empty between runs */
            p->queue = queue;
            p->room = room;
        }
    }
    return 0;
}

/* Every row that the run will ask for is one of the table's, and of what is taken or put. */
static int check_rows(kit_executor *e, const kit_program *program) {
    int64_t needed = 0, of = INT64_MAX;
    for (int64_t k = 0; k < program->count; k++) {
        const kit_instruction *i = &program->code[k];
        if (i->op != KIT_INPUT && i->op != KIT_TAKE && i->op != KIT_PUT)
            continue;
        if (i->op == KIT_INPUT) {
            if (i->p[0] < 0 || i->p[1] < 0 || i->p[2] < 0 || !program->table ||
                program->table_element != kit_type_size(i->type) ||
                i->p[2] > program->table_columns || i->p[1] > program->table_columns - i->p[2])
                return fail(e, KIT_ERROR_SYSTEM, -1, "the table is not what the schedule reads");
        }
        const int64_t rows = i->op == KIT_INPUT ? program->table_rows : i->p[2];
        of = rows < of ? rows : of;
        if (!program->rows || (i->p[0] && program->steps > program->row_count / i->p[0]))
            return fail(e, KIT_ERROR_SYSTEM, -1, "the order has fewer rows than the steps take");
        if (i->p[0] * program->steps > needed)
            needed = i->p[0] * program->steps;
    }
    for (int64_t r = 0; r < needed; r++)
        if (program->rows[r] < 0 || program->rows[r] >= of)
            return fail(e, KIT_ERROR_SYSTEM, -1, "the order names a row that the table lacks");
    return 0;
}

/* What lies in a file is taken and put by rows, and touched by nothing else. */
static int check_spilled(kit_executor *e, const kit_program *program) {
    for (int64_t k = 0; k < program->count && e->spill; k++) {
        const kit_instruction *i = &program->code[k];
        const int64_t touched[] = {i->out, i->input[0], i->input[1], i->input[2]};
        const int64_t by_rows = i->op == KIT_PUT ? i->out : i->op == KIT_TAKE ? i->input[0] : -1;
        for (int t = 0; t < 4; t++) {
            const int64_t at = kit_spill_at(e->spill, touched[t], 1);
            if (at < 0)
                continue;
            const kit_spilled *share = kit_spill_share(e->spill, at);
            if (touched[t] != by_rows || by_rows != share->place || i->p[2] != share->rows ||
                i->p[1] * kit_type_size(i->type) != share->width)
                return fail(e, KIT_ERROR_SYSTEM, -1, "a share in the file is not read by rows");
        }
    }
    return 0;
}

static int go(kit_executor *e, const kit_program *program) {
    if (prepare(e, program) || check_rows(e, program) || check_spilled(e, program))
        return -1;
    for (int64_t s = 0; s < program->steps; s++) {
        e->step = program->first_step + s;
        const int64_t time = now();
        if (e->deadline && time >= e->deadline)
            return fail(e, KIT_ERROR_TIME_LIMIT, -1, "");
        beat(e, time);
        if (time - e->looked >= LOOK_NS &&
            !stopped(e)) { /* who waits for nobody hears so that others gave up */
            e->looked = time;
            pump_all(e);
            if (troubled(e))
                return -1;
        }
        for (e->instruction = 0; e->instruction < program->count; e->instruction++) {
            if (stopped(e))
                return fail(e, KIT_ERROR_STOPPED, -1, "");
            if (execute(e, program, &program->code[e->instruction]))
                return -1;
        }
        for (int who = 0; who < KIT_PARTIES; who++)
            if (e->peers[who].connection && flush(e, who))
                return -1;
        __atomic_fetch_add(&e->counters.progress, 1, __ATOMIC_RELAXED);
    }
    return 0;
}

/* Tells the peers that are left who is at fault, for a short while at most, and ends. */
static void last_words(kit_executor *e, int culprit, int final) {
    const kit_frame frame = {(uint64_t)culprit, final ? KEY_ABORT : KEY_LEAVE, 0};
    const int64_t until = now() + LAST_WORDS_MS * (int64_t)1000000;
    e->over = 1;
    for (int who = 0; who < KIT_PARTIES; who++) {
        peer *p = &e->peers[who];
        if (!p->connection)
            continue;
        if (!p->sent && !p->blocked)
            p->queued = 0; /* nothing of it has left: the peer need not see it */
        if (p->queued + FRAME <= p->room)
            enqueue(p, &frame, FRAME);
        int sent;
        while ((sent = send_some(p)) == KIT_WANT_WRITE) {
            const int64_t left = until - now();
            struct pollfd fd = {kit_connection_fd(p->connection), POLLOUT, 0};
            if (left <= 0 || poll(&fd, 1, milliseconds(left)) < 0)
                break;
        }
        if (sent == KIT_DONE)
            kit_connection_close_notify(p->connection);
        shutdown(kit_connection_fd(p->connection), SHUT_WR);
    }
}

static int begin(kit_executor *e, double time_limit, double silence_limit, kit_error *told) {
    e->error = told;
    e->deadline = nanoseconds(time_limit);
    e->silence = nanoseconds(silence_limit);
    e->waiting = 0;
    e->beaten = now();
    if (e->deadline)
        e->deadline += e->beaten;
    if (e->over)
        return fail(e, KIT_ERROR_SYSTEM, -1, "this executor is over");
    return 0;
}

static int end(kit_executor *e, int failed) {
    e->counters.writes = 0;
    for (int who = 0; who < KIT_PARTIES; who++)
        if (e->peers[who].connection)
            e->counters.writes += kit_connection_writes(e->peers[who].connection);
    if (failed && !e->over)
        last_words(e, e->error->culprit, e->error->final);
    e->error = NULL;
    return failed;
}

int kit_executor_run(kit_executor *e, const kit_program *program, kit_error *told) {
    e->step = program->first_step;
    e->instruction = 0;
    return end(
        e, begin(e, program->time_limit, program->silence_limit, told) || go(e, program) ? -1 : 0);
}

static int meet(kit_executor *e, uint64_t said, uint64_t heard[KIT_PARTIES]) {
    const kit_frame frame = {(uint64_t)e->step, KEY_MEET, sizeof said};
    for (int who = 0; who < KIT_PARTIES; who++) {
        peer *p = &e->peers[who];
        if (!p->connection)
            continue;
        enqueue(p, &frame, FRAME); /* the queue is empty between runs, and larger than this */
        enqueue(p, &said, sizeof said);
        if (flush(e, who))
            return -1;
    }
    heard[e->me] = said;
    for (int who = 0; who < KIT_PARTIES; who++) {
        if (!e->peers[who].connection)
            continue;
        if (take(e, who, frame, (uint8_t *)&heard[who]))
            return -1;
        e->counters.bytes_received -= MEETING; /* counted are the plan's own */
    }
    return 0;
}

int kit_executor_meet(kit_executor *e, int64_t step, uint64_t said, uint64_t heard[KIT_PARTIES],
                      double time_limit, double silence_limit, kit_error *told) {
    e->step = step;
    e->instruction = -1;
    return end(e, begin(e, time_limit, silence_limit, told) || meet(e, said, heard) ? -1 : 0);
}

/* What is left of a peer after the last step: nothing but signs of life and the end. */
static int expect_end(kit_executor *e, int who) {
    peer *p = &e->peers[who];
    int64_t since = 0;
    e->waiting = 0;
    for (;;) {
        while (p->tail - p->head >= FRAME) {
            kit_frame got;
            copy_out(p, p->head, &got, FRAME);
            if (got.key != KEY_ALIVE || got.bytes)
                return p->culprit >= 0 ? aborted(e, who) : bad_frame(e, who, (kit_frame){0}, got);
            consume(p, FRAME);
        }
        if (p->closed)
            return p->tail == p->head ? 0 : bad_frame(e, who, (kit_frame){0}, (kit_frame){0});
        p->fresh = 0;
        pump_all(e);
        if (troubled(e) || overdue(e, who))
            return -1;
        if (p->fresh || p->closed) {
            since = 0;
            continue;
        }
        if (sleep_for(e, who, 0, &since))
            return -1;
    }
}

static int say_goodbye(kit_executor *e) {
    e->instruction = -1;
    for (int who = 0; who < KIT_PARTIES; who++) {
        peer *p = &e->peers[who];
        int64_t since = 0;
        int want;
        e->waiting = 0;
        if (!p->connection)
            continue;
        while ((want = kit_connection_close_notify(p->connection)) != KIT_DONE) {
            if (want == KIT_FAILED) {
                p->failed = 1;
                return peer_gone(e, who);
            }
            if (stopped(e))
                return fail(e, KIT_ERROR_STOPPED, -1, "");
            pump_all(e);
            if (troubled(e) || sleep_for(e, who, 1, &since))
                return -1;
        }
        p->ended = 1;
    }
    for (int who = 0; who < KIT_PARTIES; who++)
        if (e->peers[who].connection && expect_end(e, who))
            return -1;
    e->over = 1;
    return 0;
}

int kit_executor_finish(kit_executor *e, double time_limit, double silence_limit, kit_error *told) {
    return end(e, begin(e, time_limit, silence_limit, told) || say_goodbye(e) ? -1 : 0);
}

/* ---- life ---- */

kit_executor *kit_executor_new(uint8_t *arena, const int32_t *index,
                               kit_connection *const connections[KIT_PARTIES], int me,
                               const int64_t window[KIT_PARTIES], int spin, kit_spill *spill) {
    kit_executor *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->arena = arena;
    e->index = index;
    e->me = me;
    e->spin = spin;
    e->spill = spill;
    e->random = kit_random_new();
    e->stop_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int complete = e->random && e->stop_event >= 0;
    for (int who = 0; who < KIT_PARTIES && complete; who++) {
        peer *p = &e->peers[who];
        p->culprit = -1;
        if (!connections[who])
            continue;
        p->connection = connections[who];
        p->capacity = SMALLEST_RING;
        while (p->capacity < (uint64_t)window[who])
            p->capacity *= 2;
        p->ring = OPENSSL_malloc(p->capacity);
        p->queue = OPENSSL_malloc(p->room = MEETING + FRAME);
        complete = p->ring && p->queue;
    }
    if (complete)
        return e;
    kit_executor_free(e);
    return NULL;
}

void kit_executor_free(kit_executor *e) {
    if (!e)
        return;
    for (int who = 0; who < KIT_PARTIES; who++) {
        OPENSSL_clear_free(e->peers[who].ring, e->peers[who].capacity);
        OPENSSL_clear_free(e->peers[who].queue, e->peers[who].room);
    }
    kit_random_free(e->random);
    if (e->stop_event >= 0)
        close(e->stop_event);
    free(e);
}

void kit_executor_stop(kit_executor *e) {
    atomic_store(&e->stopped, 1);
    const uint64_t one = 1;
    const ssize_t written = write(e->stop_event, &one, sizeof one);
    (void)written; /* it only fails where it has been written before */
}

const kit_counters *kit_executor_counters(kit_executor *e) {
    return &e->counters;
}

int kit_cpu_level(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi") ||
        !__builtin_cpu_supports("bmi2"))
        return 0;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                   __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
               ? 4
               : 3;
#else
    return 0;
#endif
}
