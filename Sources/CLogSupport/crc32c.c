// CRC32C by the SSE4.2 instruction, chosen at run time, or by eight tables.
#include "CLogSupport.h"

#include <pthread.h>
#include <string.h>

static uint32_t tables[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void make_tables(void) {
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t crc = n;
        for (int bit = 0; bit < 8; bit++) crc = (crc & 1) ? (crc >> 1) ^ 0x82f63b78u : crc >> 1;
        tables[0][n] = crc;
    }
    for (uint32_t n = 0; n < 256; n++) {
        for (int slice = 1; slice < 8; slice++) {
            uint32_t previous = tables[slice - 1][n];
            tables[slice][n] = (previous >> 8) ^ tables[0][previous & 0xff];
        }
    }
}

uint32_t clog_crc32c_portable(uint32_t crc, const void *bytes, size_t length) {
    pthread_once(&tables_once, make_tables);
    const uint8_t *next = bytes;
    crc = ~crc;
    while (length >= 8) {
        uint32_t low = crc ^ ((uint32_t)next[0] | (uint32_t)next[1] << 8 | (uint32_t)next[2] << 16 |
                              (uint32_t)next[3] << 24);
        crc = tables[7][low & 0xff] ^ tables[6][(low >> 8) & 0xff] ^ tables[5][(low >> 16) & 0xff] ^
              tables[4][low >> 24] ^ tables[3][next[4]] ^ tables[2][next[5]] ^ tables[1][next[6]] ^
              tables[0][next[7]];
        next += 8;
        length -= 8;
    }
    while (length-- > 0) crc = (crc >> 8) ^ tables[0][(crc ^ *next++) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const void *bytes, size_t length) {
    const uint8_t *next = bytes;
    uint64_t wide = (uint32_t)~crc;
    while (length >= 8) {
        uint64_t word;
        memcpy(&word, next, 8);
        wide = __builtin_ia32_crc32di(wide, word);
        next += 8;
        length -= 8;
    }
    uint32_t narrow = (uint32_t)wide;
    while (length-- > 0) narrow = __builtin_ia32_crc32qi(narrow, *next++);
    return ~narrow;
}

int clog_crc32c_is_accelerated(void) { return __builtin_cpu_supports("sse4.2") != 0; }

uint32_t clog_crc32c(uint32_t crc, const void *bytes, size_t length) {
    return clog_crc32c_is_accelerated() ? crc32c_sse42(crc, bytes, length)
                                        : clog_crc32c_portable(crc, bytes, length);
}

#else

int clog_crc32c_is_accelerated(void) { return 0; }

uint32_t clog_crc32c(uint32_t crc, const void *bytes, size_t length) {
    return clog_crc32c_portable(crc, bytes, length);
}

#endif
