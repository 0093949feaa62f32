/* What a party makes of the names in a certificate that its own authority has signed.
 *
 * An input is the content of the extension that holds the subject's alternative names; it stands in
 * a certificate that counts as verified. The one URI comes back whole, or the certificate is
 * refused; nothing is ever written past the room given. */
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static X509 *own, *shown;
static kit_connection *connection;
static kit_context *volatile context; /* so that it counts as kept */

X509 *__wrap_SSL_get0_peer_certificate(const SSL *tls);
X509 *__wrap_SSL_get0_peer_certificate(const SSL *tls) {
    (void)tls;
    return shown;
}

long __wrap_SSL_get_verify_result(const SSL *tls);
long __wrap_SSL_get_verify_result(const SSL *tls) {
    (void)tls;
    return X509_V_OK;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    const char *keys = getenv("FUZZ_KEYS");
    CLAIM(keys);
    char text[KIT_TEXT_BYTES], certificate[4096];
    context = context_of(keys, "alice", 1000);
    CLAIM(context);
    connection = kit_connection_new(context, 0, 1, text);
    CLAIM(connection);
    snprintf(certificate, sizeof certificate, "%s/alice/tls.crt", keys);
    FILE *file = fopen(certificate, "r");
    CLAIM(file && (own = PEM_read_X509(file, NULL, NULL, NULL)));
    fclose(file);
    return 0;
}

/* Alice's certificate with other names; it is encoded and read again, as when it comes by wire. */
static X509 *renamed(const uint8_t *names, size_t size) {
    X509 *made = X509_dup(own);
    X509_EXTENSION_free(X509_delete_ext(made, X509_get_ext_by_NID(made, NID_subject_alt_name, -1)));
    ASN1_OCTET_STRING *content = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(content, names, (int)size);
    X509_EXTENSION *extension =
        X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, content);
    X509_add_ext(made, extension, -1);
    if (size && names[0] & 1) /* and twice the same */
        X509_add_ext(made, extension, -1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(content);
    uint8_t *bytes = NULL;
    i2d_re_X509_tbs(made, NULL);
    const int length = i2d_X509(made, &bytes);
    X509_free(made);
    const uint8_t *at = bytes;
    made = length > 0 ? d2i_X509(NULL, &at, length) : NULL;
    OPENSSL_free(bytes);
    return made;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const int capacity = size ? 1 + data[size - 1] : 1;
    shown = renamed(data, size);
    char *out = malloc((size_t)capacity);
    CLAIM(out);
    const int length = kit_connection_peer(connection, out, capacity);
    CLAIM(length == KIT_FAILED || (shown && length >= 0 && length < capacity));
    if (length >= 0) {
        CLAIM(strlen(out) == (size_t)length);
        GENERAL_NAMES *names = X509_get_ext_d2i(shown, NID_subject_alt_name, NULL, NULL);
        int uris = 0;
        for (int k = 0; k < sk_GENERAL_NAME_num(names); k++) {
            const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, k);
            if (name->type != GEN_URI)
                continue;
            uris++;
            const ASN1_IA5STRING *uri = name->d.uniformResourceIdentifier;
            CLAIM(ASN1_STRING_length(uri) == length);
            CLAIM(memcmp(ASN1_STRING_get0_data(uri), out, (size_t)length) == 0);
        }
        CLAIM(uris == 1);
        GENERAL_NAMES_free(names);
    }
    free(out);
    X509_free(shown);
    shown = NULL;
    return 0;
}
