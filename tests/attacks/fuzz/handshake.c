/* What a party makes of bytes before, in and after a handshake: channel.c and OpenSSL, two ends.
 *
 * An input is what happens: the ends shake hands, read and write; who holds the network between
 * them passes on, changes, drops, repeats, cuts and invents bytes. Whatever it does, an end hears
 * nothing but what the other said, in order, from the beginning; nobody is met but the two who have
 * keys; and no call goes on for ever. FUZZ_KEYS names a directory with the keys of alice and bob.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "channel.h"
#include "keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define CLAIM(truth)                                                                               \
    do                                                                                             \
        if (!(truth)) {                                                                            \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #truth);                    \
            abort();                                                                               \
        }                                                                                          \
    while (0)

enum { FIRST_FD = 2000, ROOM = 1 << 18, REKEY = 3, MOST_READS = 8 };

static const char *const NAMES[] = {"spiffe://fuzz/alice", "spiffe://fuzz/bob"};

/* Bytes on their way to an end. */
typedef struct {
    uint8_t bytes[ROOM];
    size_t there, passed; /* said so far, and of it what the network lets through */
    int ended, broken;
} line;

typedef struct {
    kit_connection *connection;
    int shaken, failed, closed, ended;
    uint8_t said[ROOM];
    size_t said_bytes, heard_bytes;
} end;

static kit_context *contexts[2];
static line lines[2]; /* to each end */
static end ends[2];
static int reads; /* of the socket, in one call */
static size_t piece, room;

/* ---- the doubles of the system's functions (ld --wrap) ---- */

ssize_t __wrap_recv(int fd, void *out, size_t capacity, int flags);
ssize_t __wrap_recv(int fd, void *out, size_t capacity, int flags) {
    (void)flags;
    CLAIM(++reads <= MOST_READS);
    line *l = &lines[fd - FIRST_FD];
    size_t count = l->passed < capacity ? l->passed : capacity;
    count = count < piece ? count : piece;
    if (!count) {
        if (l->ended && !l->there)
            return 0;
        errno = l->broken ? ECONNRESET : EAGAIN;
        return -1;
    }
    memcpy(out, l->bytes, count);
    memmove(l->bytes, l->bytes + count, l->there - count);
    l->there -= count;
    l->passed -= count;
    return (ssize_t)count;
}

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags) {
    (void)flags;
    line *l = &lines[1 - (fd - FIRST_FD)];
    if (lines[fd - FIRST_FD].broken) {
        errno = EPIPE;
        return -1;
    }
    const size_t left = l->there < ROOM / 2 ? ROOM / 2 - l->there : 0;
    size_t count = size < room ? size : room;
    count = count < left ? count : left;
    if (!count) {
        errno = EAGAIN;
        return -1;
    }
    room -= room == SIZE_MAX ? 0 : count;
    memcpy(l->bytes + l->there, bytes, count);
    l->there += count;
    return (ssize_t)count;
}

/* ---- what the ends do ---- */

static void shake(int who) {
    end *e = &ends[who];
    if (e->failed) /* with that it is over */
        return;
    reads = 0;
    const int want = kit_connection_handshake(e->connection);
    CLAIM(want <= KIT_DONE && want >= KIT_FAILED && want != KIT_CLOSED);
    e->failed |= want == KIT_FAILED;
    if (want != KIT_DONE || e->shaken)
        return;
    e->shaken = 1;
    char name[64];
    const int length = kit_connection_peer(e->connection, name, sizeof name);
    CLAIM(length == (int)strlen(NAMES[1 - who]) && strcmp(name, NAMES[1 - who]) == 0);
}

static void hear(int who, size_t capacity) {
    end *e = &ends[who];
    const end *other = &ends[1 - who];
    if (!e->shaken || e->closed)
        return;
    uint8_t *out = malloc(capacity);
    CLAIM(out);
    reads = 0;
    const int64_t got = kit_connection_read(e->connection, out, (int64_t)capacity);
    CLAIM(got != KIT_DONE && got >= KIT_FAILED && got <= (int64_t)capacity);
    if (got > 0) {
        CLAIM(e->heard_bytes + (size_t)got <= other->said_bytes);
        CLAIM(memcmp(out, other->said + e->heard_bytes, (size_t)got) == 0);
        e->heard_bytes += (size_t)got;
    }
    if (got == KIT_CLOSED) /* no end but the one that the other made */
        CLAIM(other->ended && e->heard_bytes == other->said_bytes);
    e->closed |= got == KIT_CLOSED;
    e->failed |= got == KIT_FAILED;
    free(out);
}

static void talk(int who, size_t bytes, uint8_t seed) {
    end *e = &ends[who];
    if (!e->shaken || e->failed || e->ended || e->said_bytes + bytes > ROOM || !bytes)
        return;
    uint8_t *words = e->said + e->said_bytes;
    for (size_t k = 0; k < bytes; k++)
        words[k] = (uint8_t)(seed + k * 5);
    reads = 0;
    const int64_t taken = kit_connection_write(e->connection, words, (int64_t)bytes);
    CLAIM(taken != KIT_DONE && taken >= KIT_FAILED && taken <= (int64_t)bytes);
    if (taken > 0)
        e->said_bytes += (size_t)taken;
    else if (taken == KIT_WANT_WRITE || taken == KIT_FAILED)
        e->failed = 1; /* what it holds may still go out: this end is of no more use here */
    if (e->failed)
        e->said_bytes += bytes; /* perhaps it was sent, or will be */
    const int left = kit_connection_flush(e->connection);
    CLAIM(left == KIT_DONE || left == KIT_WANT_WRITE || left == KIT_FAILED);
}

/* As many changes of keys as find room: what is no message, and yet must be read. */
static void change_keys(int who) {
    end *e = &ends[who];
    SSL *tls = *(SSL **)(void *)e->connection; /* the structure's first field */
    if (!e->shaken || e->failed || e->ended)
        return;
    for (int k = 0; k < 300 && SSL_key_update(tls, k % 2) && SSL_do_handshake(tls) == 1; k++)
        kit_connection_flush(e->connection);
}

static void goodbye(int who) {
    end *e = &ends[who];
    if (!e->shaken || e->failed)
        return;
    e->ended = 1;
    reads = 0;
    const int left = kit_connection_close_notify(e->connection);
    CLAIM(left == KIT_DONE || left == KIT_WANT_WRITE || left == KIT_FAILED);
}

/* ---- what happens ---- */

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

static size_t somewhere(input *in, const line *l) {
    const size_t at = (size_t)take(in) << 8 | take(in);
    return l->there ? at % l->there : 0;
}

static void insert(line *l, size_t at, const uint8_t *bytes, size_t count) {
    if (l->there + count > ROOM)
        return;
    memmove(l->bytes + at + count, l->bytes + at, l->there - at);
    memcpy(l->bytes + at, bytes, count);
    l->there += count;
}

static void step(int who) {
    if (!ends[who].shaken)
        shake(who);
    else
        hear(who, 20000);
}

static void event(input *in) {
    const uint8_t what = take(in);
    const int who = what & 1;
    line *l = &lines[who];
    switch (what >> 1 & 15) {
    case 0: /* everything goes on */
    case 1:
        for (int k = 0; k < 4; k++) {
            lines[0].passed = lines[0].there;
            step(0);
            lines[1].passed = lines[1].there;
            step(1);
        }
        break;
    case 2:
        l->passed = l->there;
        step(who);
        break;
    case 3: /* a part of it */
        l->passed = somewhere(in, l);
        step(who);
        break;
    case 4: { /* another bit */
        const size_t at = somewhere(in, l);
        if (l->there)
            l->bytes[at] ^= (uint8_t)(1u << take(in) % 8);
        break;
    }
    case 5: { /* another byte */
        const size_t at = somewhere(in, l);
        if (l->there)
            l->bytes[at] = take(in);
        break;
    }
    case 6: { /* some bytes less */
        const size_t at = somewhere(in, l), left = l->there - at;
        size_t count = take(in);
        count = count < left ? count : left;
        memmove(l->bytes + at, l->bytes + at + count, left - count);
        l->there -= count;
        l->passed = l->passed < l->there ? l->passed : l->there;
        break;
    }
    case 7: { /* the same bytes again */
        uint8_t bytes[512];
        const size_t at = somewhere(in, l), left = l->there - at;
        size_t count = 2 * (size_t)take(in);
        count = count < left ? count : left;
        memcpy(bytes, l->bytes + at, count);
        insert(l, at, bytes, count);
        break;
    }
    case 8: { /* bytes of its own */
        uint8_t bytes[32];
        const size_t count = take(in) % sizeof bytes, at = somewhere(in, l);
        for (size_t k = 0; k < count; k++)
            bytes[k] = take(in);
        insert(l, at, bytes, count);
        break;
    }
    case 9: { /* a record of its own: a change of ciphers, an alert, a hello, data */
        uint8_t bytes[5 + 64] = {(uint8_t)(20 + take(in) % 5), 3, 3, 0, 0};
        bytes[4] = take(in) % 64;
        for (size_t k = 0; k < bytes[4]; k++)
            bytes[5 + k] = take(in);
        insert(l, 0, bytes, 5u + bytes[4]);
        break;
    }
    case 10: /* an end, or a reset */
        l->ended = 1;
        l->broken = take(in) % 2;
        if (l->broken)
            l->there = l->passed = 0;
        break;
    case 11:
        talk(who, 1 + take(in) * (size_t)take(in), what);
        break;
    case 12:
        hear(who, 1 + take(in));
        break;
    case 13:
        goodbye(who);
        break;
    case 14: /* small pieces in, little room out */
        piece = 1 + take(in);
        room = take(in) * (size_t)take(in);
        if (what & 128)
            change_keys(who);
        break;
    default: /* what one said goes back to itself */
        if (lines[1 - who].there) {
            const size_t count = lines[1 - who].there < 4000 ? lines[1 - who].there : 4000;
            insert(l, 0, lines[1 - who].bytes, count);
        }
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    const char *keys = getenv("FUZZ_KEYS");
    CLAIM(keys);
    for (int who = 0; who < 2; who++) {
        contexts[who] = context_of(keys, who ? "bob" : "alice", REKEY);
        CLAIM(contexts[who]);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = {data, size};
    char text[KIT_TEXT_BYTES];
    for (int who = 0; who < 2; who++) {
        lines[who].there = lines[who].passed = 0;
        lines[who].ended = lines[who].broken = 0;
        ends[who].shaken = ends[who].failed = ends[who].closed = ends[who].ended = 0;
        ends[who].said_bytes = ends[who].heard_bytes = 0;
        ends[who].connection = kit_connection_new(contexts[who], FIRST_FD + who, !who, text);
        CLAIM(ends[who].connection);
    }
    piece = room = SIZE_MAX;
    for (int k = 0; in.left && k < 64; k++)
        event(&in);
    for (int who = 0; who < 2; who++)
        kit_connection_free(ends[who].connection);
    return 0;
}
