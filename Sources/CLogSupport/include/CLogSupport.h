// What the log needs from C: CRC32C in hardware where there is such hardware, and calls Swift cannot make itself.
#ifndef LATTICEFORGE_CLOGSUPPORT_H
#define LATTICEFORGE_CLOGSUPPORT_H

#include <stddef.h>
#include <stdint.h>

/// The CRC32C (Castagnoli, RFC 3720 appendix B.4) of `length` bytes, continued from `crc` (0 to begin).
uint32_t clog_crc32c(uint32_t crc, const void *bytes, size_t length);

/// The same by tables alone: what machines without SSE4.2 use, exported so that tests can compare the two.
uint32_t clog_crc32c_portable(uint32_t crc, const void *bytes, size_t length);

/// 1 where the processor's CRC32C instruction is used.
int clog_crc32c_is_accelerated(void);

/// Raises the number of files that the process may have open to what the system allows, at most 1,048,576; returns how many
/// it may have now, -1 where that is not known.
int64_t clog_raise_open_files(void);

/// Gives the heap's unused pages back to the system (malloc_trim).
void clog_trim_heap(void);

#endif
