/* Preloaded into a party, gives its executor seeds that are easily recognised: a text, the number
 * of the process, and a count. Whatever else asks for randomness gets the kernel's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

struct seed {
    char text[16];
    uint64_t process, count;
};

static int is_executor(const char *file) {
    return file && strstr(file, "/_executor");
}

/* The executor is loaded so that nobody stands between it and the C library; here we have to. */
void *dlopen(const char *file, int mode) {
    void *(*real)(const char *, int);
    void *found = dlsym(RTLD_NEXT, "dlopen");
    memcpy(&real, &found, sizeof real); /* ISO C has no cast from an object to a function */
    return real(file, is_executor(file) ? mode & ~RTLD_DEEPBIND : mode);
}

ssize_t getrandom(void *out, size_t bytes, unsigned flags) {
    static atomic_uint_fast64_t count;
    static struct seed last; /* for who looks into the process to see that there was one */
    Dl_info caller;
    if (bytes != sizeof last || !dladdr(__builtin_return_address(0), &caller) ||
        !is_executor(caller.dli_fname))
        return syscall(SYS_getrandom, out, bytes, flags);
    struct seed seed = {"", (uint64_t)getpid(), atomic_fetch_add(&count, 1)};
    memcpy(seed.text, TEXT, sizeof seed.text);
    memcpy(out, &seed, sizeof seed);
    memcpy(&last, &seed, sizeof seed);
    return sizeof seed;
}
