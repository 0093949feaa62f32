/* Rows are appended in the order in which they are put, whatever rows they are: so a pass that
 * reads blocks as they were shared reads the file from one end to the other, and no byte of a key's
 * stream is ever used twice. Which row is where stays in memory. */
#define _GNU_SOURCE
#include "spill.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "random.h"

enum { AES_BLOCK = 16, PIECE = 1 << 17 }; /* a piece stays in the second-level cache */

typedef struct {
    kit_spilled is;
    int64_t begin;  /* in the file */
    int64_t next;   /* rows put so far */
    int32_t *slots; /* by row: the how manieth that was put; -1 for none */
} place;

struct kit_spill {
    int file;
    int64_t count;
    place *places;
    uint8_t *piece;
    EVP_CIPHER *cipher;
    EVP_CIPHER_CTX *context;
};

/* Shares begin at whole blocks of the cipher. */
static int64_t bytes_of(const kit_spilled *share) {
    return (share->capacity * share->width + AES_BLOCK - 1) / AES_BLOCK * AES_BLOCK;
}

int64_t kit_spill_bytes(const kit_spilled *shares, int64_t count) {
    int64_t bytes = 0;
    for (int64_t k = 0; k < count; k++)
        bytes += bytes_of(&shares[k]);
    return bytes;
}

kit_spill *kit_spill_new(int file, const kit_spilled *shares, int64_t count) {
    kit_spill *spill = calloc(1, sizeof *spill);
    if (!spill)
        return NULL;
    spill->file = file;
    spill->places = calloc((size_t)count, sizeof *spill->places);
    spill->count = spill->places ? count : 0;
    spill->piece = OPENSSL_malloc(PIECE);
    spill->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL);
    spill->context = spill->cipher ? EVP_CIPHER_CTX_new() : NULL;
    int complete = spill->places && spill->piece && spill->context;
    for (int64_t k = 0; k < count && complete; k++) {
        place *one = &spill->places[k];
        one->is = shares[k];
        one->begin = kit_spill_bytes(shares, k);
        one->slots = malloc((size_t)shares[k].rows * sizeof *one->slots);
        complete = one->slots != NULL;
    }
    if (complete && !kit_spill_renew(spill))
        return spill;
    kit_spill_free(spill);
    return NULL;
}

void kit_spill_free(kit_spill *spill) {
    if (!spill)
        return;
    for (int64_t k = 0; k < spill->count; k++)
        free(spill->places[k].slots);
    free(spill->places);
    OPENSSL_clear_free(spill->piece, PIECE);
    EVP_CIPHER_CTX_free(spill->context); /* wipes the key */
    EVP_CIPHER_free(spill->cipher);
    free(spill);
}

int kit_spill_renew(kit_spill *spill) {
    uint8_t key[KIT_SEED_BYTES];
    static const uint8_t start[AES_BLOCK] = {0};
    const int failed =
        kit_seed(key) || EVP_EncryptInit_ex2(spill->context, spill->cipher, key, start, NULL) != 1;
    OPENSSL_cleanse(key, sizeof key);
    for (int64_t k = 0; k < spill->count; k++) {
        place *one = &spill->places[k];
        one->next = 0;
        memset(one->slots, 0xFF, (size_t)one->is.rows * sizeof *one->slots);
    }
    return failed ? -1 : 0;
}

int64_t kit_spill_at(const kit_spill *spill, int64_t at, int inside) {
    for (int64_t k = 0; k < spill->count; k++) {
        const kit_spilled *one = &spill->places[k].is;
        if (at == one->place ||
            (inside && at > one->place && at < one->place + one->rows * one->width))
            return k;
    }
    return -1;
}

const kit_spilled *kit_spill_share(const kit_spill *spill, int64_t share) {
    return &spill->places[share].is;
}

/* Encrypts or decrypts what lies at a position of the file: the counter is the number of the block
 * there. */
static int cipher(kit_spill *spill, int64_t position, const uint8_t *in, uint8_t *out, int bytes) {
    uint8_t counter[AES_BLOCK] = {0}, skipped[AES_BLOCK] = {0};
    uint64_t block = (uint64_t)position / AES_BLOCK;
    const int skip = (int)(position % AES_BLOCK);
    int written = 0;
    for (int k = AES_BLOCK - 1; block; k--, block >>= 8)
        counter[k] = (uint8_t)block;
    if (EVP_EncryptInit_ex2(spill->context, NULL, NULL, counter, NULL) != 1)
        return -1;
    if (skip && (EVP_EncryptUpdate(spill->context, skipped, &written, skipped, skip) != 1 ||
                 written != skip))
        return -1;
    return EVP_EncryptUpdate(spill->context, out, &written, in, bytes) == 1 && written == bytes
               ? 0
               : -1;
}

static const char CIPHER[] = "the cipher of the file of shares failed";

const char *kit_spill_put(kit_spill *spill, int64_t share, const int32_t *rows, int64_t n,
                          const uint8_t *batch) {
    place *one = &spill->places[share];
    errno = 0;
    if (n > one->is.capacity - one->next)
        return "more rows are put into the file of shares than it has room for";
    int64_t position = one->begin + one->next * one->is.width, left = n * one->is.width;
    while (left) {
        const int piece = left < PIECE ? (int)left : PIECE;
        if (cipher(spill, position, batch, spill->piece, piece))
            return CIPHER;
        for (int done = 0; done < piece;) {
            const ssize_t wrote = pwrite(spill->file, spill->piece + done, (size_t)(piece - done),
                                         (off_t)(position + done));
            if (wrote < 0 && errno == EINTR)
                continue;
            if (wrote <= 0)
                return "the file of shares cannot be written";
            done += (int)wrote;
        }
        position += piece;
        batch += piece;
        left -= piece;
    }
    for (int64_t r = 0; r < n; r++)
        one->slots[rows[r]] = (int32_t)(one->next + r);
    one->next += n;
    return NULL;
}

static const char *read_at(kit_spill *spill, int64_t position, uint8_t *out, int bytes) {
    for (int done = 0; done < bytes;) {
        const ssize_t got =
            pread(spill->file, out + done, (size_t)(bytes - done), (off_t)(position + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return "the file of shares cannot be read";
        done += (int)got;
    }
    return cipher(spill, position, out, out, bytes) ? CIPHER : NULL;
}

const char *kit_spill_take(kit_spill *spill, int64_t share, const int32_t *rows, int64_t n,
                           uint8_t *batch) {
    const place *one = &spill->places[share];
    errno = 0;
    for (int64_t r = 0, run; r < n; r += run) {
        const int32_t slot = one->slots[rows[r]];
        if (slot < 0)
            return "a row is taken from the file of shares that was not put there";
        for (run = 1; r + run < n && one->slots[rows[r + run]] == slot + (int32_t)run; run++)
            ;
        int64_t position = one->begin + slot * one->is.width;
        for (int64_t left = run * one->is.width; left;) {
            const int piece = left < PIECE ? (int)left : PIECE;
            const char *failed = read_at(spill, position, batch, piece);
            if (failed)
                return failed;
            position += piece;
            batch += piece;
            left -= piece;
        }
    }
    return NULL;
}
