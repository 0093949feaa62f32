/* Runs a fuzz target where there is no libFuzzer: replays the corpus, then mutates it blindly.
 *
 *     driver RUNS SEED FILE...      prints how many inputs were run */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

enum { LONGEST = 512, MUTATIONS = 6 };

typedef struct {
    uint8_t bytes[LONGEST];
    size_t size;
} input;

static uint64_t state;

static uint64_t chance(uint64_t below) { /* SplitMix64 */
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % below;
}

static void mutate(input *one, const input *other) {
    const uint8_t byte = (uint8_t)chance(256);
    const size_t at = one->size ? chance(one->size) : 0;
    switch (chance(7)) {
    case 0:
        if (one->size)
            one->bytes[at] ^= (uint8_t)(1u << chance(8));
        break;
    case 1:
        if (one->size)
            one->bytes[at] = byte;
        break;
    case 2:
        if (one->size)
            one->bytes[at] += byte % 9;
        break;
    case 3: /* a byte more */
        if (one->size < LONGEST) {
            memmove(one->bytes + at + 1, one->bytes + at, one->size - at);
            one->bytes[at] = byte;
            one->size++;
        }
        break;
    case 4: { /* some bytes less */
        const size_t left = one->size - at, count = left ? 1 + chance(left) : 0;
        if (count <= 8) {
            memmove(one->bytes + at, one->bytes + at + count, left - count);
            one->size -= count;
        }
        break;
    }
    case 5: { /* a piece of itself again */
        const size_t count = one->size ? chance(one->size - at + 1) : 0;
        if (one->size + count <= LONGEST) {
            memmove(one->bytes + at + count, one->bytes + at, one->size - at);
            one->size += count;
        }
        break;
    }
    default: { /* the rest of another one */
        const size_t from = other->size ? chance(other->size) : 0;
        size_t count = other->size - from;
        count = at + count <= LONGEST ? count : LONGEST - at;
        memcpy(one->bytes + at, other->bytes + from, count);
        one->size = at + count;
    }
    }
}

static void run(const input *one) {
    uint8_t *exact = malloc(one->size + !one->size); /* so that reading past its end is seen */
    if (!exact)
        exit(1);
    memcpy(exact, one->bytes, one->size);
    LLVMFuzzerTestOneInput(exact, one->size);
    free(exact);
}

static input present;

static void show(void) {
    fprintf(stderr, "the input was: ");
    for (size_t k = 0; k < present.size; k++)
        fprintf(stderr, "%02x", present.bytes[k]);
    fprintf(stderr, "\n");
}

void __asan_set_death_callback(void (*callback)(void)) __attribute__((weak));

int main(int count, char **words) {
    if (count < 3)
        return 2;
    if (LLVMFuzzerInitialize)
        LLVMFuzzerInitialize(&count, &words);
    if (__asan_set_death_callback)
        __asan_set_death_callback(show);
    const uint64_t runs = strtoull(words[1], NULL, 10);
    state = strtoull(words[2], NULL, 10);
    const int files = count - 3;
    input *corpus = calloc((size_t)files + 1, sizeof *corpus);
    if (!corpus)
        return 1;
    for (int k = 0; k < files; k++) {
        FILE *file = fopen(words[k + 3], "rb");
        if (!file)
            return 2;
        corpus[k].size = fread(corpus[k].bytes, 1, LONGEST, file);
        fclose(file);
        present = corpus[k];
        run(&present);
    }
    uint64_t done = (uint64_t)files;
    for (; done < runs; done++) {
        present = corpus[files ? chance((uint64_t)files) : 0];
        for (uint64_t k = 1 + chance(MUTATIONS); k; k--)
            mutate(&present, &corpus[files ? chance((uint64_t)files) : 0]);
        run(&present);
    }
    printf("%llu inputs\n", (unsigned long long)done);
    free(corpus);
    return 0;
}
