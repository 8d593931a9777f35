/* Fuzzes what `nj ctl` makes of a broker's answer: the first byte says whether the answer bears our
 * mark in the MQTT property, too; the rest is the payload.
 *
 * Oracle: only an answer with our mark, or that there is no such endpoint, is taken; and whatever
 * is in it, nothing that is printed steers a terminal, be it in a row that was meant for another
 * command. */
#include <stdio.h>

#include "ctl.h"
#include "fuzz/fuzz.h"

#define MARK      "c0ffee"
#define INPUT_MAX 4096

static void need_mark(const json_t *answer, bool is_private)
{
    const char *mark = json_string_value(json_object_get(answer, "correlationData"));
    need(is_private || (mark && strcmp(mark, MARK) == 0) || json_object_get(answer, "error"));
}

static void print_all(json_t *answer)
{
    static const nj_ctl_print_fn rows[] = {
        nj_ctl_print_clients,     nj_ctl_print_groups,  nj_ctl_print_roles,
        nj_ctl_print_client,      nj_ctl_print_group,   nj_ctl_print_role,
        nj_ctl_print_default_acl, nj_ctl_print_details, nj_ctl_print_anonymous_group,
        nj_ctl_print_export,      nj_ctl_print_plugins, nj_ctl_print_listeners,
        nj_ctl_print_created,     nj_ctl_print_json,
    };
    json_t *data = json_object_get(answer, "data");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rows[i](data);
    }
    nj_ctl_print_json(answer);
    nj_ctl_print_error("command", json_string_value(json_object_get(answer, "error")));
}

/* Everything that is printed, on either stream, into memory. */
static void check_prints(json_t *answer)
{
    FILE *const streams[] = {stdout, stderr};
    char *text = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&text, &len);
    need(memory != NULL);
    stdout = memory;
    stderr = memory;
    print_all(answer);
    stdout = streams[0];
    stderr = streams[1];
    need(fclose(memory) == 0 && fuzz_is_tame(nj_bytes(text, len)));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct nj_client_prop mark = {.id = NJ_CLIENT_CORRELATION_DATA,
                                               .text = {(const uint8_t *)MARK, sizeof(MARK) - 1}};
    if (size < 1 || size > INPUT_MAX) {
        return 0;
    }
    bool is_private = data[0] & 1;
    const struct nj_client_message message = {.topic = NJ_BYTES_LIT("$CONTROL/x/v1/response"),
                                              .payload = nj_bytes(data + 1, size - 1),
                                              .props = &mark,
                                              .props_count = is_private ? 1 : 0};
    json_t *answer = nj_ctl_find_answer(MARK, &message);
    if (answer) {
        need_mark(answer, is_private);
        check_prints(answer);
        json_decref(answer);
    }
    return 0;
}
