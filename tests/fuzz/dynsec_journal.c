/* The journal of dynamic security: any bytes are records, a cut record or damage; lines of changes
 * are replayed or refused. */
#include "security/dynsec_journal.h"

#include "base/err.h"
#include "security/dynsec_edit.h"
#include "security/dynsec_principal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nj_bytes rest = nj_bytes(data, size);
    struct nj_dynsec_record record;
    size_t left = rest.len;
    while (nj_dynsec_record_next(&rest, &record) == NJ_OK) {
        NJ_ASSERT(rest.len < left && rest.len + record.whole.len == left);
        left = rest.len;
    }
    /* The same bytes as lines. */
    struct nj_dynsec_edit edit;
    struct nj_dynsec_principals *principals = nj_dynsec_principals_new();
    struct nj_dynsec_state *empty = nj_dynsec_state_new(principals);
    NJ_ASSERT(empty && nj_dynsec_edit_init(&edit, empty) == NJ_OK);
    enum nj_err err = nj_dynsec_edit_replay(&edit, nj_bytes(data, size));
    NJ_ASSERT(err == NJ_OK || err == NJ_EMALFORMED);
    NJ_ASSERT(edit.log.len == 0);
    nj_dynsec_edit_fini(&edit);
    nj_dynsec_state_unref(empty);
    nj_dynsec_principals_unref(principals);
    return 0;
}
