#define _GNU_SOURCE
#include "channel.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#if OPENSSL_VERSION_NUMBER < 0x30000000L
#error "OpenSSL 3.0 or newer is needed"
#endif

enum {
    RECORD_BYTES = 16384,     /* the most that one TLS record carries */
    WRITE_BYTES = 128 * 1024, /* records gathered for one system call */
    READ_BYTES = 128 * 1024,  /* what one system call may read */
    CHAIN_DEPTH = 4,
    LARGEST_PEM = 1 << 20,
    UNANSWERED_SENDS = 2, /* repeated in vain: one alone may have been lost on the way */
    MOST_FETCHES = 4, /* in one call: a peer may send what is no message for as long as it likes */
};

struct kit_context {
    SSL_CTX *tls;
    int64_t rekey;
    int fips;
};

struct kit_connection {
    SSL *tls;
    int fd;
    int64_t rekey;
    int64_t records; /* written since the key was renewed */
    int blocked;     /* OpenSSL holds a record that it could not write */
    int64_t writes;
    /* records on their way out: bytes there, and of those the ones that left */
    uint8_t *out;
    size_t gathered, gone;
    /* bytes that came in: bytes there, and of those the ones that OpenSSL took */
    uint8_t *in;
    size_t arrived, taken;
    int fetches; /* in this call */
    int deaf;    /* reading has failed, and would only look like the end if it were tried again */
    int authority;
    int fips;
    char claim[KIT_TEXT_BYTES];
    char error[KIT_TEXT_BYTES];
};

/* ---- what went wrong, in words ---- */

static void say(char text[KIT_TEXT_BYTES], const char *format, const char *detail) {
    snprintf(text, KIT_TEXT_BYTES, format, detail);
}

static int of_unknown_authority(long code) {
    switch (code) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return 1;
    default:
        return 0;
    }
}

static const char *certificate_trouble(long code) {
    if (of_unknown_authority(code))
        return "the peer's certificate is from an unknown authority";
    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "the peer's certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "the peer's certificate is not valid yet (is a clock wrong?)";
    case X509_V_ERR_INVALID_PURPOSE:
        return "the peer's certificate is not meant for this use";
    case X509_V_ERR_CERT_REVOKED:
        return "the peer's certificate has been revoked";
    case X509_V_ERR_APPLICATION_VERIFICATION:
        return "the peer's key, or its authority's, is not on P-256, and the job says tls: fips";
    default:
        return NULL;
    }
}

/* What an alert that the peer sent says about us. */
static const char *alert_trouble(int reason) {
    switch (reason) {
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        return "the peer says that our certificate has expired";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return "the peer says that our certificate is from an unknown authority";
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR: /* a signature that the authority did not make */
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        return "the peer refuses our certificate";
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        return "the two ends share no cipher, curve or signature (tls: fips in the job?)";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return "the peer asks for a certificate";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return "the peer presents no certificate";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_WRONG_SSL_VERSION:
        return "the peer does not speak TLS 1.3";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_ENCRYPTED_LENGTH_TOO_LONG:
        return "the peer does not speak TLS";
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return "the peer has closed the connection";
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
        return "the bytes from the peer were altered on the way";
    default:
        return NULL;
    }
}

static void explain(kit_connection *c, int error) {
    const long verified = SSL_get_verify_result(c->tls);
    const unsigned long code = ERR_peek_last_error();
    const int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
    const char *words = certificate_trouble(verified);
    char *text = c->error;
    if (of_unknown_authority(verified))
        c->authority = KIT_THEIRS_UNKNOWN;
    else if (!words && reason == SSL_R_TLSV1_ALERT_UNKNOWN_CA)
        c->authority = KIT_OURS_UNKNOWN;
    if (!words)
        words = alert_trouble(reason);
    if (words)
        say(text, "%s", words);
    else if (verified != X509_V_OK)
        say(text, "the peer's certificate is refused: %s", X509_verify_cert_error_string(verified));
    else if (code && ERR_reason_error_string(code))
        say(text, "TLS: %s", ERR_reason_error_string(code));
    else if (error == ECONNRESET || error == EPIPE || error == 0)
        say(text, "%s", "the peer has closed the connection");
    else
        say(text, "%s", strerror(error));
    ERR_clear_error();
}

/* ---- a socket as OpenSSL sees it: writes gather in a buffer, and no write raises a signal ---- */

static int send_gathered(kit_connection *c) {
    while (c->gone < c->gathered) {
        const ssize_t k =
            send(c->fd, c->out + c->gone, c->gathered - c->gone, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (k < 0) {
            if (errno == EINTR)
                continue;
            return errno == EAGAIN || errno == EWOULDBLOCK ? KIT_WANT_WRITE : KIT_FAILED;
        }
        c->writes++;
        c->gone += (size_t)k;
    }
    c->gathered = c->gone = 0;
    return KIT_DONE;
}

static int socket_write(BIO *bio, const char *data, int bytes) {
    kit_connection *c = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (bytes <= 0)
        return 0;
    if ((size_t)bytes > WRITE_BYTES - c->gathered) {
        const int sent = send_gathered(c);
        if (sent == KIT_FAILED)
            return -1;
        if (c->gone) {
            memmove(c->out, c->out + c->gone, c->gathered - c->gone);
            c->gathered -= c->gone;
            c->gone = 0;
        }
    }
    const size_t room = WRITE_BYTES - c->gathered;
    if (room == 0) {
        BIO_set_retry_write(bio);
        return -1;
    }
    const size_t taken = (size_t)bytes < room ? (size_t)bytes : room;
    memcpy(c->out + c->gathered, data, taken);
    c->gathered += taken;
    return (int)taken;
}

/* Refills the empty buffer of what came in: KIT_DONE, KIT_WANT_READ or KIT_FAILED (the end). */
static int fetch(kit_connection *c) {
    for (;;) {
        const ssize_t k = recv(c->fd, c->in, READ_BYTES, MSG_DONTWAIT);
        if (k > 0) {
            c->arrived = (size_t)k;
            c->taken = 0;
            return KIT_DONE;
        }
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return KIT_WANT_READ;
        if (k == 0)
            errno = 0;
        return KIT_FAILED;
    }
}

static int socket_read(BIO *bio, char *data, int bytes) {
    kit_connection *c = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (bytes <= 0)
        return 0;
    if (c->taken == c->arrived) {
        const int fetched = c->fetches++ < MOST_FETCHES ? fetch(c) : KIT_WANT_READ;
        if (fetched == KIT_WANT_READ)
            BIO_set_retry_read(bio);
        else if (fetched == KIT_FAILED && errno == 0)
            BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
        if (fetched != KIT_DONE)
            return fetched == KIT_FAILED && errno == 0 ? 0 : -1;
    }
    const size_t left = c->arrived - c->taken;
    const size_t given = (size_t)bytes < left ? (size_t)bytes : left;
    memcpy(data, c->in + c->taken, given);
    c->taken += given;
    return (int)given;
}

static long socket_control(BIO *bio, int command, long number, void *pointer) {
    (void)number;
    (void)pointer;
    kit_connection *c = BIO_get_data(bio);
    switch (command) {
    case BIO_CTRL_FLUSH:
        /* What is gathered is sure to leave: our own callers see to it. OpenSSL must not wait for
         * that, or it could not read while it cannot write. */
        return send_gathered(c) == KIT_FAILED ? -1 : 1;
    case BIO_CTRL_EOF:
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    case BIO_CTRL_DUP:
        return 1;
    default:
        return 0;
    }
}

/* Made once and kept: connections of every context use it, and may outlive theirs. */
static BIO_METHOD *socket_method;
static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;

static void make_socket_method(void) {
    const int type = BIO_get_new_index();
    BIO_METHOD *made =
        type < 0 ? NULL : BIO_meth_new(type | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR, "party");
    if (made && BIO_meth_set_write(made, socket_write) && BIO_meth_set_read(made, socket_read) &&
        BIO_meth_set_ctrl(made, socket_control))
        socket_method = made;
    else
        BIO_meth_free(made);
}

/* ---- our own certificate, and whose we accept ---- */

static int refuse_passphrase(char *out, int capacity, int writing, void *data) {
    (void)out;
    (void)capacity;
    (void)writing;
    (void)data;
    return -1;
}

/* The one URI in a certificate's subject alternative names: its length, or KIT_FAILED. */
static int one_uri(const X509 *certificate, char *out, int capacity, const char **trouble) {
    ERR_set_mark();
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    const ASN1_IA5STRING *uri = NULL;
    int found = 0;
    for (int i = 0; i < (names ? sk_GENERAL_NAME_num(names) : 0); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_URI) {
            uri = name->d.uniformResourceIdentifier;
            found++;
        }
    }
    int length = KIT_FAILED;
    if (found != 1)
        *trouble = "the peer's certificate does not name exactly one identity (URI)";
    else if (ASN1_STRING_length(uri) >= capacity ||
             memchr(ASN1_STRING_get0_data(uri), 0, (size_t)ASN1_STRING_length(uri)))
        *trouble = "the identity in the peer's certificate is malformed";
    else {
        length = ASN1_STRING_length(uri);
        memcpy(out, ASN1_STRING_get0_data(uri), (size_t)length);
        out[length] = 0;
    }
    GENERAL_NAMES_free(names);
    ERR_pop_to_mark();
    return length;
}

static int is_on_p256(const EVP_PKEY *key) {
    char group[32];
    size_t length = 0;
    return key && EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_group_name(key, group, sizeof group, &length) == 1 &&
           OBJ_sn2nid(group) == NID_X9_62_prime256v1;
}

/* Called by OpenSSL for each certificate of a peer. It refuses keys that the job does not allow; a
 * certificate of another authority, which OpenSSL forgets, is asked for its name first. */
static int keep_claim(int accepted, X509_STORE_CTX *store) {
    const X509 *leaf = X509_STORE_CTX_get0_cert(store);
    SSL *tls = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    kit_connection *c = tls ? SSL_get_app_data(tls) : NULL;
    if (!accepted && c && leaf && of_unknown_authority(X509_STORE_CTX_get_error(store))) {
        const char *trouble = NULL;
        if (one_uri(leaf, c->claim, sizeof c->claim, &trouble) == KIT_FAILED)
            c->claim[0] = 0;
    }
    const X509 *here = X509_STORE_CTX_get_current_cert(store);
    if (accepted && c && c->fips && !(here && is_on_p256(X509_get0_pubkey(here)))) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    return accepted;
}

static int configure(SSL_CTX *tls, int fips) {
    SSL_CTX_set_options(tls, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_CLEANSE_PLAINTEXT);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, keep_claim);
    SSL_CTX_set_verify_depth(tls, CHAIN_DEPTH);
    SSL_CTX_set_default_passwd_cb(tls, refuse_passphrase);
    return SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) &&
           SSL_CTX_set_max_proto_version(tls, TLS1_3_VERSION) && SSL_CTX_set_num_tickets(tls, 0) &&
           SSL_CTX_set_ciphersuites(tls, fips ? "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"
                                              : "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                                "TLS_CHACHA20_POLY1305_SHA256") &&
           SSL_CTX_set1_groups_list(tls, fips ? "P-256" : "X25519:P-256") &&
           (!fips || SSL_CTX_set1_sigalgs_list(tls, "ECDSA+SHA256"));
}

static BIO *reader(kit_pem pem) {
    const int whole = pem.text && pem.bytes >= 0 && pem.bytes <= LARGEST_PEM;
    return whole ? BIO_new_mem_buf(pem.text, (int)pem.bytes) : NULL;
}

/* The certificates in a text, at least one; NULL where there is none, or any other block. OpenSSL's
 * own readers take what stands in other blocks too, such as the authority of a TRUSTED CERTIFICATE.
 */
static STACK_OF(X509) * certificates_in(kit_pem pem) {
    BIO *bio = reader(pem);
    STACK_OF(X509) *found = sk_X509_new_null();
    int whole = bio && found;
    while (whole) {
        char *name = NULL, *header = NULL;
        unsigned char *bytes = NULL;
        long length = 0;
        if (!PEM_read_bio(bio, &name, &header, &bytes, &length)) {
            whole = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE &&
                    sk_X509_num(found) > 0;
            break;
        }
        const unsigned char *at = bytes;
        const int plain = strcmp(name, PEM_STRING_X509) == 0 && !*header;
        X509 *one = plain ? d2i_X509(NULL, &at, length) : NULL;
        whole = one && at == bytes + length && sk_X509_push(found, one) > 0;
        if (!whole)
            X509_free(one);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(bytes);
    }
    BIO_free(bio);
    if (whole) {
        ERR_clear_error(); /* that there are no more blocks is none */
        return found;
    }
    sk_X509_pop_free(found, X509_free);
    return NULL;
}

static int trust(SSL_CTX *tls, const STACK_OF(X509) * authorities) {
    for (int i = 0; i < sk_X509_num(authorities); i++)
        if (!X509_STORE_add_cert(SSL_CTX_get_cert_store(tls), sk_X509_value(authorities, i)))
            return 0;
    return 1;
}

static int show_certificates(SSL_CTX *tls, const STACK_OF(X509) * chain) {
    if (SSL_CTX_use_certificate(tls, sk_X509_value(chain, 0)) != 1)
        return 0;
    for (int i = 1; i < sk_X509_num(chain); i++)
        if (!SSL_CTX_add1_chain_cert(tls, sk_X509_value(chain, i)))
            return 0;
    return 1;
}

static EVP_PKEY *private_key_in(kit_pem pem) {
    BIO *bio = reader(pem);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, NULL) : NULL;
    BIO_free(bio);
    return key;
}

kit_context *kit_context_new(const kit_keys *keys, int64_t rekey, char text[KIT_TEXT_BYTES]) {
    ERR_clear_error();
    kit_context *context = calloc(1, sizeof *context);
    if (!context) {
        say(text, "%s", "out of memory");
        return NULL;
    }
    context->rekey = rekey;
    context->fips = keys->fips != 0;
    context->tls = SSL_CTX_new(TLS_method());
    STACK_OF(X509) *authorities = NULL, *chain = NULL;
    EVP_PKEY *key = NULL;
    const char *trouble = NULL;
    if (!CRYPTO_THREAD_run_once(&once, make_socket_method) || !socket_method || !context->tls ||
        !configure(context->tls, context->fips))
        trouble = "this OpenSSL cannot do what is needed: %s";
    else if (!(authorities = certificates_in(keys->authority)) || !trust(context->tls, authorities))
        trouble = "the authority's certificate cannot be read: %s";
    else if (!(chain = certificates_in(keys->certificate)) ||
             !show_certificates(context->tls, chain))
        trouble = "the certificate cannot be read: %s";
    else if (!(key = private_key_in(keys->key)))
        trouble = "the private key cannot be read: %s";
    else if (SSL_CTX_use_PrivateKey(context->tls, key) != 1 ||
             SSL_CTX_check_private_key(context->tls) != 1)
        trouble = "the private key is not the certificate's: %s";
    else if (context->fips && !is_on_p256(key))
        trouble = "the private key is not on P-256, and the job says tls: fips%.0s";
    EVP_PKEY_free(key);
    sk_X509_pop_free(authorities, X509_free);
    sk_X509_pop_free(chain, X509_free);
    if (!trouble)
        return context;
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    say(text, trouble, reason ? reason : "it is not plain PEM, or more than it should be");
    ERR_clear_error();
    kit_context_free(context);
    return NULL;
}

void kit_context_free(kit_context *context) {
    if (!context)
        return;
    SSL_CTX_free(context->tls);
    free(context);
}

/* ---- one connection ---- */

kit_connection *kit_connection_new(kit_context *context, int fd, int server,
                                   char text[KIT_TEXT_BYTES]) {
    kit_connection *c = calloc(1, sizeof *c);
    BIO *bio = NULL;
    if (!c || !(c->out = malloc(WRITE_BYTES)) || !(c->in = malloc(READ_BYTES)) ||
        !(c->tls = SSL_new(context->tls)) || !(bio = BIO_new(socket_method))) {
        say(text, "%s", "out of memory");
        ERR_clear_error();
        kit_connection_free(c);
        return NULL;
    }
    c->fd = fd;
    c->rekey = context->rekey;
    c->fips = context->fips;
    BIO_set_data(bio, c);
    BIO_set_init(bio, 1);
    SSL_set_bio(c->tls, bio, bio);
    SSL_set_app_data(c->tls, c);
    if (server)
        SSL_set_accept_state(c->tls);
    else
        SSL_set_connect_state(c->tls);
    return c;
}

void kit_connection_free(kit_connection *c) {
    if (!c)
        return;
    SSL_free(c->tls);
    free(c->out);
    free(c->in);
    free(c);
}

/* Before OpenSSL is called: what it left from the last call must not be taken for this one's. */
static void begin(kit_connection *c) {
    if (ERR_peek_error())
        ERR_clear_error();
    errno = 0;
    c->fetches = 0;
}

static int outcome(kit_connection *c, int result) {
    const int error = errno;
    switch (SSL_get_error(c->tls, result)) {
    case SSL_ERROR_WANT_READ:
        return KIT_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return KIT_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return KIT_CLOSED;
    default:
        if (!c->error[0]) /* what came first is the reason */
            explain(c, error);
        return KIT_FAILED;
    }
}

int kit_connection_handshake(kit_connection *c) {
    begin(c);
    const int result = SSL_do_handshake(c->tls);
    const int want = result == 1 ? KIT_DONE : outcome(c, result);
    if (want == KIT_CLOSED)
        say(c->error, "%s", "the peer has closed the connection");
    if (want == KIT_CLOSED || want == KIT_FAILED)
        return KIT_FAILED;
    const int left = kit_connection_flush(c);
    return left == KIT_DONE ? want : left;
}

int kit_connection_peer(kit_connection *c, char *out, int capacity) {
    X509 *certificate = SSL_get0_peer_certificate(c->tls);
    if (!certificate || SSL_get_verify_result(c->tls) != X509_V_OK) {
        say(c->error, "%s", "the peer's certificate is not verified");
        return KIT_FAILED;
    }
    const char *trouble = NULL;
    const int length = one_uri(certificate, out, capacity, &trouble);
    if (trouble)
        say(c->error, "%s", trouble);
    return length;
}

int kit_connection_peer_digests(kit_connection *c, uint8_t key[KIT_DIGEST_BYTES],
                                uint8_t authority[KIT_DIGEST_BYTES]) {
    X509 *leaf = SSL_get0_peer_certificate(c->tls);
    STACK_OF(X509) *chain = SSL_get0_verified_chain(c->tls); /* ends with whom we trust */
    unsigned char *der = NULL;
    unsigned int bytes = 0;
    int length = -1, done = 0;
    if (leaf && SSL_get_verify_result(c->tls) == X509_V_OK && sk_X509_num(chain) > 0)
        length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der);
    if (length > 0)
        done = EVP_Digest(der, (size_t)length, key, &bytes, EVP_sha256(), NULL) &&
               X509_digest(sk_X509_value(chain, sk_X509_num(chain) - 1), EVP_sha256(), authority,
                           &bytes);
    OPENSSL_free(der);
    if (!done)
        say(c->error, "%s", "the peer's certificate is not verified");
    ERR_clear_error();
    return done ? KIT_DONE : KIT_FAILED;
}

int64_t kit_connection_read(kit_connection *c, void *out, int64_t capacity) {
    if (c->deaf)
        return KIT_FAILED;
    if (c->gathered)
        kit_connection_flush(c); /* should it fail, what the peer has said is there all the same */
    /* Most looks find nothing; OpenSSL, which is slow to say so, is not asked then. */
    if (!kit_connection_pending(c) && !SSL_get_shutdown(c->tls) && fetch(c) == KIT_WANT_READ)
        return KIT_WANT_READ;
    begin(c);
    size_t got = 0;
    const int result = SSL_read_ex(c->tls, out, (size_t)capacity, &got);
    if (result == 1)
        return (int64_t)got;
    const int want = outcome(c, result);
    c->deaf = want == KIT_FAILED;
    return want;
}

int64_t kit_connection_write(kit_connection *c, const void *data, int64_t bytes) {
    begin(c);
    if (c->records >= c->rekey && !c->blocked &&
        WRITE_BYTES - c->gathered >= RECORD_BYTES) { /* room for the message that says so */
        if (!SSL_key_update(c->tls, SSL_KEY_UPDATE_NOT_REQUESTED))
            return outcome(c, 0);
        c->records = 0;
    }
    size_t taken = 0;
    const int result = SSL_write_ex(c->tls, data, (size_t)bytes, &taken);
    if (result != 1) {
        c->blocked = 1;
        return outcome(c, result);
    }
    c->blocked = 0;
    c->records += ((int64_t)taken + RECORD_BYTES - 1) / RECORD_BYTES;
    return (int64_t)taken;
}

int kit_connection_flush(kit_connection *c) {
    const int sent = send_gathered(c);
    if (sent == KIT_FAILED && !c->error[0]) {
        /* A peer that refuses us says why before it closes the connection. */
        const int error = errno;
        uint8_t byte;
        size_t got;
        ERR_clear_error();
        const int result = SSL_peek_ex(c->tls, &byte, sizeof byte, &got);
        if (result == 1)
            ERR_clear_error();
        else
            c->deaf = SSL_get_error(c->tls, result) == SSL_ERROR_SSL;
        explain(c, error);
    }
    return sent;
}

int kit_connection_close_notify(kit_connection *c) {
    begin(c);
    if (!(SSL_get_shutdown(c->tls) & SSL_SENT_SHUTDOWN)) {
        const int result = SSL_shutdown(c->tls);
        if (result < 0) {
            const int want = outcome(c, result);
            if (want != KIT_WANT_READ)
                return want == KIT_CLOSED ? KIT_FAILED : want;
        }
    }
    return kit_connection_flush(c);
}

int kit_connection_pending(const kit_connection *c) {
    return c->taken < c->arrived || SSL_has_pending(c->tls);
}

int kit_connection_fd(const kit_connection *c) {
    return c->fd;
}

/* A process that is stopped, or has no time to read, has a kernel that answers: then nothing is
 * unacknowledged, and the window closed at most, whose probes are answered. TCP_USER_TIMEOUT would
 * end that connection too. */
int kit_connection_unanswered(kit_connection *c, int64_t milliseconds) {
    struct tcp_info tcp = {0};
    socklen_t bytes = sizeof tcp;
    if (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &tcp, &bytes) != 0)
        return 0; /* not over TCP */
    int unanswered = tcp.tcpi_unacked && tcp.tcpi_retransmits >= UNANSWERED_SENDS;
    if (!unanswered && tcp.tcpi_probes < UNANSWERED_SENDS)
        return 0;
    if (tcp.tcpi_last_ack_recv < milliseconds || tcp.tcpi_last_data_recv < milliseconds)
        return 0;
    if (!c->error[0])
        snprintf(c->error, sizeof c->error, "its machine has not answered for %d s",
                 (int)(milliseconds / 1000));
    return 1;
}

int64_t kit_connection_writes(const kit_connection *c) {
    return c->writes;
}

int kit_connection_authority(const kit_connection *c) {
    return c->authority;
}

const char *kit_connection_claim(const kit_connection *c) {
    return c->claim;
}

const char *kit_connection_error(const kit_connection *c) {
    return c->error;
}
