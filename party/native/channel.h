/* Mutual TLS 1.3 between parties over sockets that never block.
 *
 * Both sides present a certificate of an authority that the other one trusts. There is no
 * resumption, no early data and no older version of the protocol. Records gather in a buffer of
 * ours, so that a large message leaves in few system calls. */
#ifndef KIT_CHANNEL_H
#define KIT_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)

enum { KIT_TEXT_BYTES = 256, KIT_DIGEST_BYTES = 32 };

/* What a call that could not go on wants, or how the connection ended. All are below zero: reads
 * and writes give the number of bytes otherwise. */
enum kit_want {
    KIT_DONE = 0,
    KIT_WANT_READ = -1,
    KIT_WANT_WRITE = -2,
    KIT_CLOSED = -3, /* the peer said that it sends no more */
    KIT_FAILED = -4, /* kit_connection_error has the words */
};

typedef struct kit_context kit_context;
typedef struct kit_connection kit_connection;

/* A text in PEM, which need not end with a zero. */
typedef struct {
    const char *text;
    int64_t bytes;
} kit_pem;

/* The authorities that vouch for peers, our own certificate (chain) and its private key. Where
 * there are several, the caller compares which one vouches for whom: kit_connection_peer_digests.
 */
typedef struct {
    kit_pem authority, certificate, key;
    int64_t fips; /* P-256, ECDSA with SHA-256 and AES-GCM alone: of us, and of whoever we accept */
} kit_keys;

/* After `rekey` records written the sending key is renewed. NULL with words in text when something
 * is wrong with the keys: certificates stand in plain CERTIFICATE blocks and beside nothing else.
 */
kit_context *kit_context_new(const kit_keys *keys, int64_t rekey, char text[KIT_TEXT_BYTES]);
void kit_context_free(kit_context *context);

/* Takes the connected socket `fd` as server or client; the descriptor stays the caller's to close.
 * NULL with words in text on failure. */
kit_connection *kit_connection_new(kit_context *context, int fd, int server,
                                   char text[KIT_TEXT_BYTES]);
void kit_connection_free(kit_connection *connection);

/* KIT_DONE, KIT_WANT_READ, KIT_WANT_WRITE or KIT_FAILED. */
int kit_connection_handshake(kit_connection *connection);

/* The one URI in the verified certificate's subject alternative names: its length, or KIT_FAILED.
 */
int kit_connection_peer(kit_connection *connection, char *out, int capacity);

/* SHA-256 of the verified certificate's public key (SubjectPublicKeyInfo in DER, RFC 5280) and of
 * the certificate of the authority that its chain leads to. KIT_DONE or KIT_FAILED. */
int kit_connection_peer_digests(kit_connection *connection, uint8_t key[KIT_DIGEST_BYTES],
                                uint8_t authority[KIT_DIGEST_BYTES]);

/* Bytes read (at least one), or what it wants, KIT_CLOSED or KIT_FAILED. */
int64_t kit_connection_read(kit_connection *connection, void *out, int64_t capacity);

/* Bytes taken (at least one), or what it wants, or KIT_FAILED. What was taken is on its way once
 * kit_connection_flush says KIT_DONE. After KIT_WANT_WRITE the next call must bring the same bytes
 * again, and may bring more after them. */
int64_t kit_connection_write(kit_connection *connection, const void *data, int64_t bytes);

/* KIT_DONE when nothing is left in our buffer, KIT_WANT_WRITE or KIT_FAILED. */
int kit_connection_flush(kit_connection *connection);

/* Tells the peer that nothing more comes. KIT_DONE, KIT_WANT_WRITE or KIT_FAILED. */
int kit_connection_close_notify(kit_connection *connection);

/* Whether bytes have left the socket that were not handed out yet. */
int kit_connection_pending(const kit_connection *connection);

int kit_connection_fd(const kit_connection *connection);

/* After so many milliseconds without a sign of life a machine that owes one counts as gone. */
enum { KIT_UNANSWERED_MS = 15000 };

/* Whether the peer's machine, and not its process, has left what we sent unanswered for so long;
 * kit_connection_error has the words then. */
int kit_connection_unanswered(kit_connection *connection, int64_t milliseconds);

/* System calls that wrote. */
int64_t kit_connection_writes(const kit_connection *connection);

/* Whether an authority ended the handshake, and whose: a peer of another authority than ours is the
 * usual error where several organisations set something up. */
enum kit_authority {
    KIT_SAME_AUTHORITY = 0,
    KIT_THEIRS_UNKNOWN = 1, /* the peer's certificate is of another authority than ours */
    KIT_OURS_UNKNOWN = 2,   /* the peer says that ours is of another than its own */
};
int kit_connection_authority(const kit_connection *connection);

/* Whom a certificate of another authority names, empty if nobody. Only for words: nobody whom we
 * trust vouches for it. */
const char *kit_connection_claim(const kit_connection *connection);

/* Why the last call said KIT_FAILED. */
const char *kit_connection_error(const kit_connection *connection);

#pragma GCC visibility pop
#endif
