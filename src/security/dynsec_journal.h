/* The journal of dynamic security: what was changed since the file was last written.
 *
 *   nj1 base 17 <sha256> <sum>            the file that the changes begin from, at changeIndex 17
 *   nj1 change 17 18 312 <sum>            a change from 17 to 18: 312 bytes of lines
 * (dynsec_edit.h)
 *   {"client":{…}}
 *   {"changeIndex":18}
 *   nj1 save 18 <sha256> <sum>            a file with this digest is about to take the other's
 * place
 *
 * Each record is synced before its change is answered. Changes that a file holds already are
 * skipped; a file that the journal does not name is somebody else's. The last record may be cut off
 * by a crash, and is then dropped; a bad one before the last is damage. Zeros behind it are room
 * for more: a record that is written into blocks that the file has already is synced without a
 * commit of the file system's own journal, which would wait for other files.
 *
 * Owned by the module's lock (dynsec.c). All calls block. */
#ifndef NJ_SECURITY_DYNSEC_JOURNAL_H
#define NJ_SECURITY_DYNSEC_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

#define NJ_DYNSEC_DIGEST 32

struct nj_dynsec_digest {
    uint8_t bytes[NJ_DYNSEC_DIGEST];
};
bool nj_dynsec_digest_of(struct nj_bytes text, struct nj_dynsec_digest *out);
bool nj_dynsec_digest_equal(const struct nj_dynsec_digest *a, const struct nj_dynsec_digest *b);

enum nj_dynsec_record_kind {
    NJ_DYNSEC_RECORD_BASE,
    NJ_DYNSEC_RECORD_CHANGE,
    NJ_DYNSEC_RECORD_SAVE,
};

struct nj_dynsec_record {
    enum nj_dynsec_record_kind kind;
    uint64_t from; /* change */
    uint64_t index;
    struct nj_dynsec_digest digest; /* base, save */
    struct nj_bytes lines;          /* change */
    struct nj_bytes whole;          /* the record's own text */
};

/* Takes the first record off *rest. NJ_ENOENT at the end, where *rest is room or nothing;
 * NJ_EAGAIN: what is left is the beginning of a record that was cut off; NJ_EMALFORMED: damage. */
enum nj_err nj_dynsec_record_next(struct nj_bytes *rest, struct nj_dynsec_record *out) NJ_NODISCARD;

struct nj_dynsec_journal {
    char *path;
    int fd;             /* -1: not there, or not to be trusted: it is written anew first */
    struct nj_buf text; /* what has to be in it */
    size_t room;        /* bytes of the file, zeros included */
};

void nj_dynsec_journal_init(struct nj_dynsec_journal *journal, const char *path);
/* The file stays as it is. */
void nj_dynsec_journal_fini(struct nj_dynsec_journal *journal);

/* From now on it begins with this base; nothing is written yet. */
enum nj_err nj_dynsec_journal_start(struct nj_dynsec_journal *journal, uint64_t index,
                                    const struct nj_dynsec_digest *digest) NJ_NODISCARD;
/* It goes on from what was read at the start, which has whole records only. */
enum nj_err nj_dynsec_journal_resume(struct nj_dynsec_journal *journal, struct nj_bytes text)
    NJ_NODISCARD;
/* On an error the record is in nobody's way: what is on disk is put right before the next one.
 * errno says why. */
enum nj_err nj_dynsec_journal_change(struct nj_dynsec_journal *journal, uint64_t from, uint64_t to,
                                     struct nj_bytes lines) NJ_NODISCARD;
enum nj_err nj_dynsec_journal_save(struct nj_dynsec_journal *journal, uint64_t index,
                                   const struct nj_dynsec_digest *digest) NJ_NODISCARD;
/* Leaves out everything up to a file that is in its place now. */
enum nj_err nj_dynsec_journal_trim(struct nj_dynsec_journal *journal, uint64_t index,
                                   const struct nj_dynsec_digest *digest) NJ_NODISCARD;
bool nj_dynsec_journal_has_changes(const struct nj_dynsec_journal *journal);
/* When there is nothing in it that the file does not hold. */
void nj_dynsec_journal_remove(struct nj_dynsec_journal *journal);

#endif
