/* What a party makes of its peers' bytes: the executor, against two peers that follow a script.
 *
 * An input is a program of messages and, event by event, what the two peers do: send the frame that
 * is due, or one that is nearly it, or anything; give up, hang up, fall silent, block, talk without
 * end. The connections are doubles that hand out the script; poll and the clock are theirs too, so
 * that a wait takes no time. A second, plain reading of each peer's stream says what must come of
 * it: a run that ends well had nothing but what was due, and an error names the frame that was not.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arithmetic.h"
#include "bits.h"
#include "executor.h"
#include "random.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ABORT 0xFFFFFFFFu
#define ALIVE 0xFFFFFFFEu
#define LEAVE 0xFFFFFFFDu

enum { FRAME = 16, PEERS = 2, PARTS = 12, STEPS = 5, SEGMENTS = 256, LIMIT_S = 50, SILENCE_S = 4 };
enum { LARGEST = 70000, MOST_PIECES = 500, RECORD = 16384, BUFFER = 131072, BRIEFLY_NS = 1000 };
static const int32_t SIZES[32] = {0,   1,   2,   3,   4,   7,    8,    9,    15,    16,     17,
                                  24,  31,  32,  33,  48,  64,   100,  128,  200,   255,    256,
                                  300, 500, 512, 777, 999, 1024, 4080, 9000, 65521, LARGEST};

#define CLAIM(truth)                                                                               \
    do                                                                                             \
        if (!(truth)) {                                                                            \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #truth);                    \
            abort();                                                                               \
        }                                                                                          \
    while (0)

/* ---- the script ---- */

enum kind { BYTES, PAUSE, TIME, STOP, CLOSE, FAIL, ENDLESS };

typedef struct {
    enum kind kind;
    size_t from, bytes; /* of the peer's stream */
} segment;

struct kit_connection {
    int party;
    /* what it says */
    uint8_t *stream;
    size_t bytes, room;
    segment script[SEGMENTS];
    int segments, current;
    size_t given; /* of the current segment */
    size_t piece; /* at most so many bytes a read */
    int32_t next; /* the frame that is due next in the script */
    /* how it takes what is said to it */
    size_t takes, credit; /* bytes it takes each time it is waited for, and now */
    size_t buffered;      /* bytes that it did not take yet */
    int fails_writes;     /* after so many */
    int writes, ended;
    uint8_t *held; /* a record that found no room, and must be offered again */
    size_t holding, held_room;
    uint8_t *heard;
    size_t heard_bytes, heard_room;
};

static kit_connection peers[PEERS];
static kit_executor *executor;
static int64_t clock_ns, tick_ns, polls, reads;
static int ordered_to_stop;

static void append(uint8_t **to, size_t *bytes, size_t *room, const void *from, size_t count) {
    if (*bytes + count > *room) {
        *room = 2 * (*bytes + count);
        *to = realloc(*to, *room);
        CLAIM(*to);
    }
    if (count)
        memcpy(*to + *bytes, from, count);
    *bytes += count;
}

static void add(kit_connection *p, enum kind kind) {
    if (p->segments < SEGMENTS)
        p->script[p->segments++] = (segment){kind, p->bytes, 0};
}

static void say(kit_connection *p, const void *bytes, size_t count) {
    if (!p->segments || p->script[p->segments - 1].kind != BYTES)
        add(p, BYTES);
    if (p->script[p->segments - 1].kind != BYTES)
        return;
    append(&p->stream, &p->bytes, &p->room, bytes, count);
    p->script[p->segments - 1].bytes += count;
}

/* The payload of a message: each has another. */
static const uint8_t *payload_of(int party, uint64_t step, uint64_t key) {
    static uint8_t bytes[256 + LARGEST];
    if (!bytes[1])
        for (uint32_t k = 0, x = 1; k < sizeof bytes; k++, x = x * 1664525 + 1013904223)
            bytes[k] = (uint8_t)(x >> 24 | (k == 1));
    return bytes + (step * 31 + key * 3 + (uint64_t)party) % 256;
}

static void say_frame(kit_connection *p, kit_frame frame, size_t payload) {
    say(p, &frame, sizeof frame);
    say(p, payload_of(p->party, frame.step, frame.key), payload);
}

/* ---- the doubles of channel.h ---- */

int64_t kit_connection_read(kit_connection *p, void *out, int64_t capacity) {
    CLAIM(capacity > 0);
    reads++;
    for (; p->current < p->segments; p->current++, p->given = 0) {
        const segment *s = &p->script[p->current];
        switch (s->kind) {
        case BYTES: {
            size_t count = s->bytes - p->given;
            if (!count)
                continue;
            count = count < p->piece ? count : p->piece;
            count = count < (size_t)capacity ? count : (size_t)capacity;
            memcpy(out, p->stream + s->from + p->given, count);
            p->given += count;
            return (int64_t)count;
        }
        case ENDLESS: {
            const kit_frame alive = {0, ALIVE, 0};
            const size_t at = p->given % FRAME, left = FRAME - at;
            const size_t count = (size_t)capacity < left ? (size_t)capacity : left;
            memcpy(out, (const uint8_t *)&alive + at, count);
            p->given += count;
            return (int64_t)count;
        }
        case STOP:
            kit_executor_stop(executor);
            ordered_to_stop = 1;
            continue;
        case CLOSE:
            return KIT_CLOSED;
        case FAIL:
            return KIT_FAILED;
        case PAUSE:
        case TIME:
            return KIT_WANT_READ;
        }
    }
    return KIT_WANT_READ;
}

static int broken(const kit_connection *p) {
    return p->ended > 1 || (p->fails_writes && p->writes >= p->fails_writes);
}

static void drain(kit_connection *p) {
    const size_t count = p->buffered < p->credit ? p->buffered : p->credit;
    p->buffered -= count;
    if (p->takes != SIZE_MAX)
        p->credit -= count;
}

int64_t kit_connection_write(kit_connection *p, const void *data, int64_t bytes) {
    CLAIM(bytes > 0);
    if (p->ended || broken(p))
        return KIT_FAILED;
    p->writes++;
    /* As OpenSSL has it: what was refused comes again, with or without more after it. */
    CLAIM((size_t)bytes >= p->holding);
    CLAIM(!p->holding || memcmp(data, p->held, p->holding) == 0);
    p->holding = 0;
    const size_t piece = bytes < RECORD ? (size_t)bytes : RECORD;
    if (p->buffered + piece > BUFFER)
        drain(p);
    if (p->buffered + piece > BUFFER) {
        append(&p->held, &p->holding, &p->held_room, data, (size_t)bytes);
        return KIT_WANT_WRITE;
    }
    p->buffered += piece;
    append(&p->heard, &p->heard_bytes, &p->heard_room, data, piece);
    return (int64_t)piece;
}

int kit_connection_flush(kit_connection *p) {
    if (broken(p))
        return KIT_FAILED;
    drain(p);
    return p->buffered ? KIT_WANT_WRITE : KIT_DONE;
}

int kit_connection_close_notify(kit_connection *p) {
    CLAIM(!p->holding);
    p->ended = 1;
    return kit_connection_flush(p);
}

int kit_connection_pending(const kit_connection *p) {
    return p->current < p->segments && p->script[p->current].kind == BYTES &&
           p->given < p->script[p->current].bytes;
}

int kit_connection_fd(const kit_connection *p) {
    return 1000 + p->party;
}

/* Who takes nothing any more in the end is gone when time passes without a word. */
int kit_connection_unanswered(kit_connection *p, int64_t milliseconds) {
    CLAIM(milliseconds == KIT_UNANSWERED_MS);
    return p->fails_writes && p->current < p->segments && p->script[p->current].kind == TIME;
}

int64_t kit_connection_writes(const kit_connection *p) {
    return p->writes;
}

const char *kit_connection_error(const kit_connection *p) {
    (void)p;
    return "it broke";
}

/* What the executor computes with is no matter here. */
kit_random *kit_random_new(void) {
    static char one;
    return (kit_random *)(void *)&one;
}
void kit_random_free(kit_random *random) {
    (void)random;
}
int kit_seed(uint8_t out[KIT_SEED_BYTES]) {
    (void)out;
    return -1;
}
int kit_uniform(kit_random *random, const uint8_t seed[KIT_SEED_BYTES], int type, int64_t low,
                uint64_t range, int64_t n, void *out) {
    (void)random, (void)seed, (void)type, (void)low, (void)range, (void)n, (void)out;
    return -1;
}
int64_t kit_spill_at(const kit_spill *spill, int64_t place, int inside) {
    (void)spill, (void)place, (void)inside;
    return -1;
}
const kit_spilled *kit_spill_share(const kit_spill *spill, int64_t share) {
    (void)spill, (void)share;
    return NULL;
}
const char *kit_spill_put(kit_spill *spill, int64_t share, const int32_t *rows, int64_t n,
                          const uint8_t *batch) {
    (void)spill, (void)share, (void)rows, (void)n, (void)batch;
    return "no";
}
const char *kit_spill_take(kit_spill *spill, int64_t share, const int32_t *rows, int64_t n,
                           uint8_t *batch) {
    (void)spill, (void)share, (void)rows, (void)n, (void)batch;
    return "no";
}
int kit_type_size(int type) {
    (void)type;
    return 1;
}
enum kit_trouble kit_compute(const kit_instruction *i, uint8_t *arena, const int32_t *index) {
    (void)i, (void)arena, (void)index;
    return KIT_NO_SUCH;
}
int kit_bit_split(int size, int64_t stride, int64_t n, const void *x, void *out) {
    (void)size, (void)stride, (void)n, (void)x, (void)out;
    return -1;
}
int kit_bit_gather(int size, int64_t start, int64_t stride, int64_t n, const void *x, void *out) {
    (void)size, (void)start, (void)stride, (void)n, (void)x, (void)out;
    return -1;
}
int kit_bit_reverse(int size, int64_t n, const void *x, void *out) {
    (void)size, (void)n, (void)x, (void)out;
    return -1;
}
int kit_xor_indices(int size, int64_t n, const void *x, void *out) {
    (void)size, (void)n, (void)x, (void)out;
    return -1;
}

/* ---- the doubles of the system's functions (ld --wrap) ---- */

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout) {
    CLAIM(timeout >= 0); /* there is a limit, so no wait is for ever */
    polls++;
    int64_t passed = (int64_t)timeout * 1000000;
    for (int k = 0; k < PEERS; k++) {
        kit_connection *p = &peers[k];
        const int more = p->current < p->segments;
        const enum kind kind = more ? p->script[p->current].kind : TIME;
        if (more && (kind == PAUSE || kind == TIME))
            p->current++;
        if (kind == PAUSE)
            passed = BRIEFLY_NS;
        for (nfds_t j = 0; j < count; j++) {
            if (fds[j].fd != kit_connection_fd(p))
                continue;
            if (fds[j].events & POLLIN && kind != TIME)
                passed = BRIEFLY_NS;
            if (fds[j].events & POLLOUT && p->takes) {
                p->credit = p->takes;
                passed = BRIEFLY_NS;
            }
        }
    }
    clock_ns += passed;
    for (nfds_t k = 0; k < count; k++) {
        fds[k].revents = fds[k].events & (POLLIN | POLLOUT);
        for (int j = 0; j < PEERS; j++)
            if (fds[k].fd == kit_connection_fd(&peers[j]) && fds[k].events & POLLRDHUP &&
                peers[j].current < peers[j].segments &&
                peers[j].script[peers[j].current].kind == FAIL)
                fds[k].revents |= POLLRDHUP;
    }
    return (int)count;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *out);
int __wrap_clock_gettime(clockid_t id, struct timespec *out) {
    (void)id;
    clock_ns += tick_ns;
    out->tv_sec = clock_ns / 1000000000;
    out->tv_nsec = clock_ns % 1000000000;
    return 0;
}

int __wrap_shutdown(int fd, int how);
int __wrap_shutdown(int fd, int how) {
    (void)fd, (void)how;
    return 0;
}

static size_t largest;

void *__wrap_CRYPTO_malloc(size_t bytes, const char *file, int line);
void *__wrap_CRYPTO_malloc(size_t bytes, const char *file, int line) {
    (void)file, (void)line;
    largest = bytes > largest ? bytes : largest;
    return malloc(bytes);
}
void __wrap_CRYPTO_clear_free(void *block, size_t bytes, const char *file, int line);
void __wrap_CRYPTO_clear_free(void *block, size_t bytes, const char *file, int line) {
    (void)file, (void)line;
    if (block)
        memset(block, 0xDD, bytes); /* all of it is there to be cleared */
    free(block);
}

/* ---- the program ---- */

typedef struct {
    const uint8_t *data;
    size_t left;
} input;

static uint8_t take(input *in) {
    if (!in->left)
        return 0;
    in->left--;
    return *in->data++;
}

static kit_instruction code[2][PARTS];
static int64_t counts[2], steps;
static int me;
static size_t arena_bytes;
static uint8_t *arena;

static int other(int k) {
    return k < me ? k : k + 1;
}

static void make_program(input *in) {
    me = take(in) % KIT_PARTIES;
    steps = 1 + take(in) % STEPS;
    arena_bytes = 1;
    int64_t key = 0;
    for (int p = 0; p < 2; p++) {
        counts[p] = take(in) % PARTS;
        for (int64_t k = 0; k < counts[p]; k++) {
            const uint8_t what = take(in);
            kit_instruction *i = &code[p][k];
            memset(i, 0, sizeof *i);
            i->out = i->input[0] = -1;
            const int32_t bytes = SIZES[what >> 3];
            i->p[0] = other(what & 1);
            switch (what >> 1 & 3) {
            case 0:
            case 1:
                i->op = KIT_RECV;
                i->out = (int64_t)arena_bytes;
                break;
            case 2:
                i->op = KIT_SEND;
                i->input[0] = (int64_t)arena_bytes;
                break;
            default:
                i->op = KIT_FLUSH;
                continue;
            }
            i->p[1] = key++;
            i->p[2] = bytes;
            arena_bytes += (size_t)bytes;
        }
    }
    arena = calloc(1, arena_bytes); /* not a byte more than the program needs */
    CLAIM(arena);
}

static const kit_instruction *nth(int64_t index, int op, int party, uint64_t *step) {
    for (int64_t s = 0; s <= steps; s++) {
        const int p = s == steps;
        for (int64_t k = 0; k < counts[p]; k++)
            if (code[p][k].op == op && code[p][k].p[0] == party && index-- == 0) {
                *step = (uint64_t)s;
                return &code[p][k];
            }
    }
    return NULL;
}

/* The frame that comes at a place in what a party says to us, or we to it. False after the last. */
static int due(int64_t index, int op, int party, kit_frame *frame) {
    uint64_t step;
    const kit_instruction *i = nth(index, op, party, &step);
    if (i)
        *frame = (kit_frame){step, (uint32_t)i->p[1], (uint32_t)i->p[2]};
    return i != NULL;
}

/* ---- the events ---- */

static void event(input *in) {
    const uint8_t what = take(in);
    kit_connection *p = &peers[what & 1];
    kit_frame frame = {0, 0, 0};
    switch (what >> 1 & 15) {
    case 0: /* what is due */
    case 1:
        if (due(p->next, KIT_RECV, p->party, &frame)) {
            p->next++;
            say_frame(p, frame, frame.bytes);
        }
        break;
    case 2: { /* everything that is due, to the end */
        while (due(p->next, KIT_RECV, p->party, &frame)) {
            p->next++;
            say_frame(p, frame, frame.bytes);
        }
        add(p, CLOSE);
        break;
    }
    case 3: { /* what is due but for one field */
        due(p->next, KIT_RECV, p->party, &frame);
        const uint8_t field = take(in);
        const int64_t change = (int8_t)take(in);
        const size_t payload = frame.bytes;
        if (field % 3 == 0)
            frame.step += (uint64_t)change;
        else if (field % 3 == 1)
            frame.key += (uint32_t)change;
        else
            frame.bytes += (uint32_t)change;
        say_frame(p, frame, payload);
        break;
    }
    case 4: { /* any bytes */
        uint8_t bytes[64];
        const size_t count = take(in) % sizeof bytes;
        for (size_t k = 0; k < count; k++)
            bytes[k] = take(in);
        say(p, bytes, count);
        break;
    }
    case 5: { /* a part of what is due */
        uint8_t bytes[FRAME];
        due(p->next, KIT_RECV, p->party, &frame);
        memcpy(bytes, &frame, FRAME);
        say(p, bytes, take(in) % FRAME);
        break;
    }
    case 6: { /* it gives up, for good or not */
        const unsigned drawn = take(in);
        say_frame(p, (kit_frame){drawn % 5, drawn / 5 % 2 ? LEAVE : ABORT, 0}, 0);
        break;
    }
    case 7: /* signs of life */
        for (int k = take(in) % 8; k >= 0; k--)
            say_frame(p, (kit_frame){take(in), ALIVE, 0}, 0);
        break;
    case 8:
        add(p, PAUSE);
        break;
    case 9:
        add(p, TIME);
        break;
    case 10:
        add(p, take(in) % 2 ? CLOSE : FAIL);
        break;
    case 11:
        p->piece = 1 + take(in) * (size_t)take(in);
        break;
    case 12:
        p->takes = take(in) * (size_t)take(in);
        break;
    case 13:
        p->fails_writes = 1 + take(in);
        break;
    case 14:
        add(p, STOP);
        break;
    default:
        add(p, ENDLESS);
        tick_ns = 100000000;
    }
}

/* ---- the second reading ---- */

typedef struct {
    int complete; /* all that was due came, nothing else, and then a proper end */
    int wrong;    /* a frame came that was not due */
    int aborts;   /* a frame says that it gives up */
    int endless;  /* signs of life without end follow, perhaps in the middle of a frame */
    kit_frame expected, got;
    int64_t frames;
} reading;

static reading read_stream(kit_connection *p) {
    reading r = {0};
    size_t bytes = 0;
    int ends = 0;
    for (int k = 0; k < p->segments && !ends; k++) {
        if (p->script[k].kind == BYTES)
            bytes += p->script[k].bytes;
        ends = p->script[k].kind == CLOSE ? 1 : p->script[k].kind >= FAIL ? 2 : 0;
        r.endless = p->script[k].kind == ENDLESS;
    }
    size_t at = 0;
    while (at + FRAME <= bytes) {
        kit_frame got, expected = {0, 0, 0};
        memcpy(&got, p->stream + at, FRAME);
        const int more = due(r.frames, KIT_RECV, p->party, &expected);
        if (got.key == ABORT || got.key == LEAVE)
            r.aborts = 1;
        at += FRAME;
        if (got.key == ALIVE && got.bytes == 0)
            continue;
        if (!r.wrong && (!more || memcmp(&got, &expected, FRAME) != 0)) {
            r.wrong = 1;
            r.expected = more ? expected : (kit_frame){0, 0, 0};
            r.got = got;
        }
        r.frames += !r.wrong;
        if (bytes - at < got.bytes) {
            at = bytes + 1;
            break;
        }
        at += got.bytes;
    }
    kit_frame left;
    r.complete = !r.wrong && ends == 1 && at == bytes && !due(r.frames, KIT_RECV, p->party, &left);
    return r;
}

/* What was said to a peer is what the program has it say, and at last that we give up, if we do. */
static void check_heard(const kit_connection *p, int failed) {
    size_t at = 0;
    int64_t frames = 0;
    while (at < p->heard_bytes) {
        kit_frame got, expected;
        if (at + FRAME > p->heard_bytes) {
            CLAIM(failed);
            return;
        }
        memcpy(&got, p->heard + at, FRAME);
        at += FRAME;
        if (got.key == ALIVE) {
            CLAIM(got.bytes == 0);
            continue;
        }
        if (got.key == ABORT || got.key == LEAVE) {
            CLAIM(failed && got.bytes == 0 && got.step < KIT_PARTIES && at == p->heard_bytes);
            return;
        }
        CLAIM(due(frames++, KIT_SEND, p->party, &expected));
        CLAIM(memcmp(&got, &expected, FRAME) == 0);
        if (p->heard_bytes - at < got.bytes) {
            CLAIM(failed);
            return;
        }
        at += got.bytes;
    }
    kit_frame expected;
    CLAIM(failed || !due(frames, KIT_SEND, p->party, &expected));
}

static int same(kit_frame a, kit_frame b) {
    return memcmp(&a, &b, FRAME) == 0;
}

static void check(int failed, const kit_error *error) {
    reading r[PEERS];
    int disturbed = ordered_to_stop;
    for (int k = 0; k < PEERS; k++) {
        r[k] = read_stream(&peers[k]);
        disturbed |= peers[k].fails_writes || !peers[k].takes || !r[k].complete;
        for (int s = 0; s < peers[k].segments; s++)
            disturbed |= peers[k].script[s].kind == TIME || peers[k].script[s].kind == STOP ||
                         peers[k].script[s].kind == ENDLESS;
        check_heard(&peers[k], failed);
    }
    if (!failed) {
        CLAIM(r[0].complete && r[1].complete);
        for (int k = 0; k < PEERS; k++) { /* the last of each message is where it belongs */
            kit_connection *p = &peers[k];
            uint64_t step;
            const kit_instruction *i;
            for (int64_t n = 0; (i = nth(n, KIT_RECV, p->party, &step)); n++)
                if (step + 1 >= (uint64_t)steps)
                    CLAIM(!memcmp(arena + i->out, payload_of(p->party, step, (uint64_t)i->p[1]),
                                  (size_t)i->p[2]));
        }
        return;
    }
    if (!disturbed)
        fprintf(stderr, "error %d with %d (%s), step %d, instruction %d, at %.3f s\n", error->kind,
                error->peer, error->text, (int)error->step, (int)error->instruction,
                (double)clock_ns / 1e9);
    CLAIM(disturbed);
    CLAIM(error->culprit >= 0 && error->culprit < KIT_PARTIES);
    CLAIM(error->kind == KIT_ERROR_STOPPED ? ordered_to_stop : 1);
    CLAIM(error->kind >= KIT_ERROR_PEER_GONE && error->kind <= KIT_ERROR_STALLED);
    if (error->kind != KIT_ERROR_BAD_FRAME && error->kind != KIT_ERROR_ABORTED)
        return;
    const int k = error->peer < me ? error->peer : error->peer - 1;
    CLAIM(error->peer != me && k >= 0 && k < PEERS);
    if (error->kind == KIT_ERROR_ABORTED || error->got.key == ABORT)
        CLAIM(r[k].aborts || r[k].endless);
    else if (r[k].wrong)
        CLAIM(same(error->expected, r[k].expected) && same(error->got, r[k].got));
    else if (!r[k].endless) /* bytes that are no whole frame stood before the end */
        CLAIM(!r[k].complete && same(error->got, (kit_frame){0, 0, 0}));
}

/* ---- one input ---- */

const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "quarantine_size_mb=4:allocator_release_to_os_interval_ms=-1";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = {data, size};
    kit_error error;
    make_program(&in);
    clock_ns = 1;
    tick_ns = 100;
    polls = reads = 0;
    largest = 0;
    ordered_to_stop = 0;
    kit_connection *links[KIT_PARTIES] = {NULL, NULL, NULL};
    int64_t window[KIT_PARTIES] = {0, 0, 0};
    size_t longest = 0;
    for (int k = 0; k < PEERS; k++) {
        peers[k] = (kit_connection){.party = other(k), .piece = SIZE_MAX, .takes = SIZE_MAX};
        links[other(k)] = &peers[k];
        window[other(k)] = take(&in) * 1000;
    }
    while (in.left)
        event(&in);
    for (int k = 0; k < PEERS; k++) { /* small pieces, and yet not too many */
        const size_t least = peers[k].bytes / MOST_PIECES;
        peers[k].piece = peers[k].piece > least ? peers[k].piece : least;
        const size_t most = (size_t)(steps + 1) * arena_bytes / MOST_PIECES;
        if (peers[k].takes)
            peers[k].takes = peers[k].takes > most ? peers[k].takes : most;
        peers[k].credit = peers[k].takes;
    }
    for (int p = 0; p < 2; p++)
        for (int64_t k = 0; k < counts[p]; k++)
            longest += FRAME + (size_t)code[p][k].p[2];

    executor = kit_executor_new(arena, NULL, links, me, window, 1 + (int)(size % 3), NULL);
    CLAIM(executor);
    int failed = 0;
    for (int p = 0; p < 2 && !failed; p++) {
        const kit_program program = {
            .code = code[p],
            .count = counts[p],
            .first_step = p ? steps : 0,
            .steps = p ? 1 : steps,
            .time_limit = LIMIT_S,
            .silence_limit = SILENCE_S,
        };
        failed = kit_executor_run(executor, &program, &error);
    }
    if (!failed)
        failed = kit_executor_finish(executor, LIMIT_S, SILENCE_S, &error);
    check(failed, &error);
    /* Nothing a peer says makes it hang, or allocate more than its program and window ask for. */
    CLAIM(clock_ns < (int64_t)1000000000 * 4 * LIMIT_S);
    CLAIM(largest <= 2 * (longest + 255000 + 65536));

    kit_executor_free(executor);
    for (int k = 0; k < PEERS; k++) {
        free(peers[k].stream);
        free(peers[k].held);
        free(peers[k].heard);
    }
    free(arena);
    return 0;
}
