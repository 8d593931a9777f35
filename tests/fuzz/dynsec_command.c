/* Requests to dynamic security: any JSON is answered, and whatever was done is what the log of it
 * says when it is applied to the state before. No broker, no worker: commands that ask workers are
 * left out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/settings.h"
#include "control/control_priv.h"
#include "control/dynsec_priv.h"
#include "security/dynsec_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct nj_dynsec *dynsec;
static struct nj_dynsec_module *module;
static struct nj_settings settings;

static const struct nj_settings *get_settings(void *arg)
{
    (void)arg;
    return &settings;
}

static struct nj_control_plane plane = {
    .host = {.settings = get_settings}, .is_over = true, /* nobody is rung */
};

/* Once; the fuzzer's processes each have a folder of their own. */
static void open_module(void)
{
    static char dir[] = "/tmp/nj-fuzz-XXXXXX";
    static char path[64];
    char error[512];
    const struct nj_log_settings quiet = {.types = 0};
    NJ_ASSERT(nj_log_configure(&quiet) == NJ_OK && mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/f", dir);
    const struct nj_hash_cost cost = {NJ_HASH_PBKDF2, 1};
    const struct nj_dynsec_options options = {
        .path = path, .password = "twelve-letters", .cost = cost};
    const struct nj_dynsec_module_options how = {.cost = cost, .refuses_control_chars = true};
    NJ_ASSERT(nj_dynsec_open(&options, &dynsec, error, sizeof(error)) == NJ_OK);
    (void)unlink(path);
    (void)rmdir(dir);
    module = nj_dynsec_module_new(dynsec, &how);
    nj_control_json_init();
}

static const struct nj_control_command *find(const char *name)
{
    for (size_t i = 0; name && i < nj_dynsec_api.command_count; i++) {
        const struct nj_control_command *row = &nj_dynsec_api.commands[i];
        if (strcasecmp(row->name, name) == 0) {
            return strcmp(row->name, "getClient") == 0 ? NULL : row;
        }
    }
    return NULL;
}

static void run(struct nj_control_request *request, json_t *object)
{
    char text[200];
    const struct nj_control_command *row =
        find(json_string_value(json_object_get(object, "command")));
    if (!row || nj_control_args_check(row->args, object, text, sizeof(text))) {
        return;
    }
    size_t before = json_array_size(request->responses);
    request->call = (struct nj_control_call){.request = request, .command = row, .args = object};
    request->state = NJ_CONTROL_WAITING;
    row->handler(&request->call);
    NJ_ASSERT(request->state == NJ_CONTROL_RUNNING);
    NJ_ASSERT(json_array_size(request->responses) == before + 1);
}

/* The log applied to the state before gives the draft, and the draft can be written and read. */
static void check(void)
{
    struct nj_buf draft = {NULL, 0, 0};
    struct nj_buf replayed = {NULL, 0, 0};
    struct nj_dynsec_edit edit;
    struct nj_dynsec_load load = {.knows_all_keys = true};
    struct nj_dynsec_state *again;
    NJ_ASSERT(nj_dynsec_save(module->edit.state, NJ_DYNSEC_FORM_21, &draft) == NJ_OK);
    NJ_ASSERT(nj_dynsec_edit_init(&edit, nj_dynsec_state(dynsec)) == NJ_OK);
    NJ_ASSERT(nj_dynsec_edit_replay(&edit, nj_buf_bytes(&module->edit.log)) == NJ_OK);
    NJ_ASSERT(nj_dynsec_save(edit.state, NJ_DYNSEC_FORM_21, &replayed) == NJ_OK);
    NJ_ASSERT(nj_bytes_equal(nj_buf_bytes(&draft), nj_buf_bytes(&replayed)));
    NJ_ASSERT(nj_dynsec_load(nj_buf_bytes(&draft), edit.state->principals, &load, &again) == NJ_OK);
    NJ_ASSERT(load.unknown_refs == 0);
    nj_dynsec_state_unref(again);
    nj_dynsec_edit_fini(&edit);
    nj_buf_fini(&draft);
    nj_buf_fini(&replayed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!module) {
        open_module();
    }
    struct nj_control_entry entry = {&nj_dynsec_api, module};
    struct nj_control_request request = {
        .plane = &plane,
        .entry = &entry,
        .caller = {.user = NJ_BYTES_LIT("admin"), .address = "fuzz"},
        .envelope = nj_control_json_parse(nj_bytes(data, size)),
        .reply = json_object(),
        .responses = json_array(),
    };
    json_t *commands = json_object_get(request.envelope, "commands");
    if (nj_dynsec_begin(module, &request) == NJ_OK) {
        size_t i;
        json_t *object;
        json_array_foreach(commands, i, object)
        {
            if (json_is_object(object)) {
                run(&request, object);
            }
        }
        check();
        /* Whatever was asked, who asked may still ask. */
        NJ_ASSERT(nj_dynsec_client(module->edit.state, NJ_BYTES_LIT("admin")));
    }
    nj_control_request_log(&request);
    nj_free(request.lines);
    json_decref(request.responses);
    json_decref(request.reply);
    json_decref(request.envelope);
    return 0;
}
