#define _GNU_SOURCE
#include "random.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#ifdef KIT_OPENSSL_AT_RUN_TIME
/* For the library that TensorFlow loads. TensorFlow puts the functions of its own BoringSSL, which
 * have the same names, before everything else in the process; calls that the linker resolves would
 * reach those, half and half, and crash. Found by hand in OpenSSL's own library they cannot. */
#include <dlfcn.h>
#include <pthread.h>

static struct {
    EVP_CIPHER *(*cipher_fetch)(OSSL_LIB_CTX *, const char *, const char *);
    void (*cipher_free)(EVP_CIPHER *);
    EVP_CIPHER_CTX *(*context_new)(void);
    void (*context_free)(EVP_CIPHER_CTX *);
    int (*init)(EVP_CIPHER_CTX *, const EVP_CIPHER *, const unsigned char *, const unsigned char *,
                const OSSL_PARAM *);
    int (*update)(EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int);
} openssl;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool complete;

static bool find(void *library, const char *name, void *function) {
    void *found = dlsym(library, name);
    memcpy(function, &found, sizeof found); /* ISO C has no cast from an object to a function */
    return found;
}

static void find_openssl(void) {
    void *library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    complete = library && find(library, "EVP_CIPHER_fetch", &openssl.cipher_fetch) &&
               find(library, "EVP_CIPHER_free", &openssl.cipher_free) &&
               find(library, "EVP_CIPHER_CTX_new", &openssl.context_new) &&
               find(library, "EVP_CIPHER_CTX_free", &openssl.context_free) &&
               find(library, "EVP_EncryptInit_ex2", &openssl.init) &&
               find(library, "EVP_EncryptUpdate", &openssl.update);
}

static bool openssl_ready(void) {
    return !pthread_once(&once, find_openssl) && complete;
}

#define EVP_CIPHER_fetch openssl.cipher_fetch
#define EVP_CIPHER_free openssl.cipher_free
#define EVP_CIPHER_CTX_new openssl.context_new
#define EVP_CIPHER_CTX_free openssl.context_free
#define EVP_EncryptInit_ex2 openssl.init
#define EVP_EncryptUpdate openssl.update
#else
static bool openssl_ready(void) {
    return true;
}
#endif

int kit_seed(uint8_t out[KIT_SEED_BYTES]) {
    size_t have = 0;
    while (have < KIT_SEED_BYTES) {
        ssize_t got = getrandom(out + have, KIT_SEED_BYTES - have, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        have += (size_t)got;
    }
    return 0;
}

struct kit_random {
    EVP_CIPHER *cipher;
    EVP_CIPHER_CTX *context;
};

kit_random *kit_random_new(void) {
    kit_random *random = calloc(1, sizeof *random);
    if (!random)
        return NULL;
    if (!openssl_ready()) {
        free(random);
        return NULL;
    }
    random->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL);
    random->context = random->cipher ? EVP_CIPHER_CTX_new() : NULL;
    if (!random->context ||
        EVP_EncryptInit_ex2(random->context, random->cipher, NULL, NULL, NULL) != 1) {
        kit_random_free(random);
        return NULL;
    }
    return random;
}

void kit_random_free(kit_random *random) {
    if (!random)
        return;
    if (random->context)
        EVP_CIPHER_CTX_free(random->context); /* wipes the key */
    if (random->cipher)
        EVP_CIPHER_free(random->cipher);
    free(random);
}

/* The seed is the key and no two draws share one, so that the counter may start at zero. ABY3
 * numbers its draws by adding to a seed, which makes keys that are related; what is known against
 * AES-256 under related keys takes 2^99 blocks under differences of the attacker's choice (Biryukov
 * and Khovratovich, ASIACRYPT 2009). */
static int start(kit_random *random, const uint8_t seed[KIT_SEED_BYTES]) {
    static const uint8_t counter[16] = {0};
    return EVP_EncryptInit_ex2(random->context, NULL, seed, counter, NULL) == 1 ? 0 : -1;
}

/* The next bytes of the stream: zeros encrypted, in pieces that stay in the first-level cache. */
static int draw(kit_random *random, uint8_t *out, size_t bytes) {
    enum { PIECE = 8192 };
    static const uint8_t zeros[PIECE];
    while (bytes) {
        size_t piece = bytes < PIECE ? bytes : PIECE;
        int written = 0;
        if (EVP_EncryptUpdate(random->context, out, &written, zeros, (int)piece) != 1)
            return -1;
        if ((size_t)written != piece)
            return -1;
        out += piece;
        bytes -= piece;
    }
    return 0;
}

/* The stream's words are little-endian. */
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "on a big-endian machine the words of the stream would have to be swapped"
#endif

__extension__ typedef unsigned __int128 wide;

/* Integers below a range that is no power of two are words modulo the range, of those words that
 * are spread evenly over it: the ones above `last` are skipped, which tells nothing about those
 * that are kept. The quotient is estimated by a product with `inverse`, floor(2^64 / range), and
 * too small by one at most. Words stay in their order: what is skipped leaves room at the end,
 * where the stream then goes on. */
#define DEFINE_UNIFORM(T)                                                                          \
    static int uniform_##T(kit_random *random, T low, uint64_t range, int64_t n, T *out) {         \
        const uint64_t bits = 8 * sizeof(T);                                                       \
        if (bits < 64 && range >> (bits & 63))                                                     \
            return -1;                                                                             \
        const size_t all = (size_t)n;                                                              \
        if ((range & (range - 1)) == 0) { /* a power of two, or 0: the whole ring */               \
            const T mask = (T)(range - 1);                                                         \
            if (draw(random, (uint8_t *)out, all * sizeof(T)))                                     \
                return -1;                                                                         \
            if (!range)                                                                            \
                return 0; /* the words themselves */                                               \
            for (size_t i = 0; i < all; i++)                                                       \
                out[i] = (T)(low + (out[i] & mask));                                               \
            return 0;                                                                              \
        }                                                                                          \
        const uint64_t inverse = UINT64_MAX / range;                                               \
        const uint64_t top = (T) ~(T)0;                        /* the largest word */              \
        const uint64_t last = top - (top % range + 1) % range; /* the largest one that counts */   \
        size_t have = 0;                                                                           \
        while (have < all) {                                                                       \
            size_t kept = have;                                                                    \
            if (draw(random, (uint8_t *)(out + have), (all - have) * sizeof(T)))                   \
                return -1;                                                                         \
            for (size_t i = have; i < all; i++) {                                                  \
                const uint64_t word = out[i];                                                      \
                const uint64_t quotient = (uint64_t)(((wide)word * inverse) >> 64);                \
                uint64_t rest = word - quotient * range;                                           \
                rest -= rest >= range ? range : 0;                                                 \
                out[kept] = (T)(low + (T)rest);                                                    \
                kept += word <= last;                                                              \
            }                                                                                      \
            have = kept;                                                                           \
        }                                                                                          \
        return 0;                                                                                  \
    }

DEFINE_UNIFORM(uint8_t)
DEFINE_UNIFORM(uint16_t)
DEFINE_UNIFORM(uint32_t)
DEFINE_UNIFORM(uint64_t)

int kit_uniform(kit_random *random, const uint8_t seed[KIT_SEED_BYTES], int type, int64_t low,
                uint64_t range, int64_t n, void *out) {
    if (n < 0 || type < 0 || type > 7 || n > (INT64_MAX >> 3))
        return -1;
    if (start(random, seed))
        return -1;
    switch (type & 3) { /* signed and unsigned types of a width are one ring */
    case 0:
        return uniform_uint8_t(random, (uint8_t)low, range, n, out);
    case 1:
        return uniform_uint16_t(random, (uint16_t)low, range, n, out);
    case 2:
        return uniform_uint32_t(random, (uint32_t)low, range, n, out);
    default:
        return uniform_uint64_t(random, (uint64_t)low, range, n, out);
    }
}
