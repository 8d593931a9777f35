/* CRC-32C (Castagnoli), the checksum of what is kept on disk: it finds flipped and torn bytes, it
 * is no protection against somebody who means it. Any thread. */
#ifndef NJ_BASE_CRC32C_H
#define NJ_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` (0 to begin with) over `len` bytes. */
uint32_t nj_crc32c(uint32_t crc, const void *data, size_t len);

#endif
