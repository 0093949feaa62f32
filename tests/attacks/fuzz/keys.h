/* A party's TLS context, from the key directory that FUZZ_KEYS names. */
#include <stdio.h>

#include "channel.h"

static kit_context *context_of(const char *keys, const char *party, int64_t rekey) {
    static const char *const names[] = {"ca.crt", "tls.crt", "tls.key"};
    char held[3][8192], path[4096], text[KIT_TEXT_BYTES];
    kit_pem pem[3];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s/%s", keys, party, names[i]);
        FILE *file = fopen(path, "r");
        if (!file)
            return NULL;
        pem[i] = (kit_pem){held[i], (int64_t)fread(held[i], 1, sizeof held[i], file)};
        fclose(file);
    }
    return kit_context_new(&(kit_keys){pem[0], pem[1], pem[2], 0}, rekey, text);
}
