/* Every command of dynamic security, done as a whole or not at all, whichever piece of memory is
 * missing. No broker, no worker: getClient, which asks them, is left out. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/settings.h"
#include "control/control_priv.h"
#include "control/dynsec_priv.h"
#include "security/dynsec_file.h"
#include "support/test.h"

#define CALLS_MAX 5000u

static struct nj_dynsec *dynsec;
static struct nj_dynsec_module *module;
static struct nj_settings settings;
static char folder[] = "/tmp/nj-unit-XXXXXX";
static char path[64];
static unsigned published;

static const struct nj_settings *get_settings(void *arg)
{
    (void)arg;
    return &settings;
}

static enum nj_err
change_policy(void *arg, enum nj_err (*change)(void *arg, struct nj_scope *scopes, size_t count),
              void *change_arg)
{
    (void)arg;
    published++;
    return change(change_arg, NULL, 0);
}

static struct nj_control_plane plane = {
    .host = {.settings = get_settings, .change_policy = change_policy},
    .is_over = true, /* nobody is rung */
};

static int setup(void **state)
{
    char error[512];
    const struct nj_log_settings quiet = {.types = 0};
    const struct nj_hash_cost cost = {NJ_HASH_PBKDF2, 1};
    (void)state;
    assert_int_equal(nj_log_configure(&quiet), NJ_OK);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/f", folder);
    const struct nj_dynsec_options options = {
        .path = path, .password = "twelve-letters", .cost = cost};
    const struct nj_dynsec_module_options how = {.cost = cost, .refuses_control_chars = true};
    assert_int_equal(nj_dynsec_open(&options, &dynsec, error, sizeof(error)), NJ_OK);
    module = nj_dynsec_module_new(dynsec, &how);
    nj_control_json_init();
    return 0;
}

static int teardown(void **state)
{
    static const char *const endings[] = {"", ".last", ".journal"};
    char name[80];
    (void)state;
    nj_dynsec_module_free(module);
    nj_dynsec_close(dynsec);
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        (void)snprintf(name, sizeof(name), "%s%s", path, endings[i]);
        (void)unlink(name);
    }
    return rmdir(folder);
}

static char *text_of(const struct nj_dynsec_state *state)
{
    struct nj_buf text = {NULL, 0, 0};
    assert_int_equal(nj_dynsec_save(state, NJ_DYNSEC_FORM_21, &text), NJ_OK);
    char *copy = nj_bytes_dup(nj_buf_bytes(&text));
    nj_buf_fini(&text);
    return copy;
}

/* ---- one request with one command */

struct step {
    const char *text;
    bool has_secret; /* a fresh salt, so two results are never the same */
};

struct work {
    struct nj_control_entry entry;
    struct nj_control_request request;
    json_t *object;
    const struct nj_control_command *row;
};

static void work_init(struct work *work, const struct step *step)
{
    char error[200];
    *work = (struct work){
        .entry = {&nj_dynsec_api, module},
        .request = {.plane = &plane,
                    .caller = {.user = NJ_BYTES_LIT("admin"), .address = "unit"},
                    .envelope = json_object(),
                    .reply = json_object(),
                    .responses = json_array()},
        .object = json_loads(step->text, 0, NULL),
    };
    work->request.entry = &work->entry;
    work->request.commands = json_array(); /* there are some */
    assert_non_null(work->object);
    const char *name = json_string_value(json_object_get(work->object, "command"));
    for (size_t i = 0; i < nj_dynsec_api.command_count; i++) {
        if (strcasecmp(nj_dynsec_api.commands[i].name, name) == 0) {
            work->row = &nj_dynsec_api.commands[i];
        }
    }
    assert_non_null(work->row);
    assert_null(nj_control_args_check(work->row->args, work->object, error, sizeof(error)));
}

static void work_fini(struct work *work)
{
    nj_control_request_log(&work->request);
    nj_free(work->request.lines);
    json_decref(work->request.commands);
    json_decref(work->request.responses);
    json_decref(work->request.reply);
    json_decref(work->request.envelope);
    json_decref(work->object);
}

/* True: the request began, and the command was answered. */
static bool run(struct work *work)
{
    struct nj_control_request *request = &work->request;
    if (nj_dynsec_begin(module, request) != NJ_OK) {
        return false;
    }
    request->call =
        (struct nj_control_call){.request = request, .command = work->row, .args = work->object};
    request->state = NJ_CONTROL_WAITING;
    work->row->handler(&request->call);
    assert_int_equal(request->state, NJ_CONTROL_RUNNING);
    return true;
}

static void finish(struct work *work)
{
    work->request.state = NJ_CONTROL_ENDING;
    nj_dynsec_end(module, &work->request);
    assert_int_equal(work->request.state, NJ_CONTROL_ENDED);
}

/* A password that was generated and not told would lock its client out. */
static void check_told(const struct work *work)
{
    const json_t *data = json_object_get(json_array_get(work->request.responses, 0), "data");
    if (json_is_true(json_object_get(work->object, "generatePassword")) &&
        json_array_size(work->request.responses)) {
        assert_non_null(json_string_value(json_object_get(data, "password")));
    }
}

/* With call number `nth` of the allocator failing; true when it was not reached. The draft is as it
 * was, or as *whole, which the first that succeeds sets. */
static bool try_step(const struct step *step, uint64_t nth, const char *before, char **whole)
{
    struct work work;
    work_init(&work, step);
    nj_fault_arm(NJ_FAULT_ALLOC, nth, false);
    bool has_begun = run(&work);
    bool is_past = nj_fault_calls(NJ_FAULT_ALLOC) < nth;
    nj_fault_disarm();
    if (has_begun) {
        char *now = text_of(module->edit.state);
        if (work.request.failures) {
            assert_string_equal(now, before);
            assert_int_equal(module->edit.log.len, 0);
        } else if (!*whole) {
            *whole = nj_strdup(now);
        } else if (!step->has_secret) {
            assert_string_equal(now, *whole);
        }
        if (!work.request.failures && !work.request.is_lost) {
            check_told(&work);
        }
        nj_free(now);
    }
    assert_true(has_begun || !is_past);
    assert_true(!is_past || (work.request.failures == 0 && !work.request.is_lost));
    work_fini(&work);
    return is_past;
}

static void do_step(const struct step *step)
{
    char *before = text_of(nj_dynsec_state(dynsec));
    char *whole = NULL;
    bool is_past = false;
    for (uint64_t nth = 1; !is_past && nth < CALLS_MAX; nth++) {
        is_past = try_step(step, nth, before, &whole);
    }
    assert_true(is_past);
    nj_free(before);
    nj_free(whole);
    /* And then in earnest. */
    struct work work;
    unsigned had = published;
    work_init(&work, step);
    assert_true(run(&work));
    bool is_change = module->edit.log.len > 0;
    finish(&work);
    assert_int_equal(work.request.failures, 0);
    assert_int_equal(published - had, is_change);
    work_fini(&work);
}

static const struct step steps[] = {
    {"{\"command\":\"getDetails\"}", false},
    {"{\"command\":\"setDefaultACLAccess\",\"acls\":[{\"acltype\":\"subscribe\",\"allow\":true}]}",
     false},
    {"{\"command\":\"getDefaultACLAccess\"}", false},
    {"{\"command\":\"createRole\",\"rolename\":\"r\",\"textname\":\"n\",\"acls\":["
     "{\"acltype\":\"publishClientSend\",\"topic\":\"a/#\",\"allow\":true},"
     "{\"acltype\":\"subscribeLiteral\",\"topic\":\"a/+\",\"priority\":3}]}",
     false},
    {"{\"command\":\"createRole\",\"rolename\":\"s\"}", false},
    {"{\"command\":\"createGroup\",\"groupname\":\"g\",\"roles\":[{\"rolename\":\"r\"},"
     "{\"rolename\":\"s\",\"priority\":4}]}",
     false},
    {"{\"command\":\"createGroup\",\"groupname\":\"h\"}", false},
    {"{\"command\":\"createClient\",\"username\":\"u\",\"password\":\"p\",\"clientid\":\"i\","
     "\"roles\":[{\"rolename\":\"r\"}],\"groups\":[{\"groupname\":\"g\"},{\"groupname\":\"h\"}]}",
     true},
    {"{\"command\":\"createClient\",\"username\":\"v\",\"generatePassword\":true}", true},
    {"{\"command\":\"modifyClient\",\"username\":\"u\",\"textname\":\"t\",\"roles\":[],"
     "\"groups\":[{\"groupname\":\"h\",\"priority\":9}]}",
     false},
    {"{\"command\":\"modifyClient\",\"username\":\"u\",\"generatePassword\":true}", true},
    {"{\"command\":\"setClientPassword\",\"username\":\"u\",\"generatePassword\":true}", true},
    {"{\"command\":\"setClientPassword\",\"username\":\"v\",\"password\":\"q\"}", true},
    {"{\"command\":\"setClientId\",\"username\":\"u\"}", false},
    {"{\"command\":\"disableClient\",\"username\":\"u\"}", false},
    {"{\"command\":\"enableClient\",\"username\":\"u\"}", false},
    {"{\"command\":\"addClientRole\",\"username\":\"u\",\"rolename\":\"s\",\"priority\":1}", false},
    {"{\"command\":\"modifyGroup\",\"groupname\":\"g\",\"roles\":[{\"rolename\":\"s\"}],"
     "\"clients\":[{\"username\":\"u\"},{\"username\":\"v\",\"priority\":2}]}",
     false},
    {"{\"command\":\"addGroupClient\",\"groupname\":\"h\",\"username\":\"v\"}", false},
    {"{\"command\":\"removeGroupClient\",\"groupname\":\"h\",\"username\":\"v\"}", false},
    {"{\"command\":\"addGroupRole\",\"groupname\":\"g\",\"rolename\":\"r\"}", false},
    {"{\"command\":\"removeGroupRole\",\"groupname\":\"g\",\"rolename\":\"r\"}", false},
    {"{\"command\":\"addRoleACL\",\"rolename\":\"s\",\"acltype\":\"subscribePattern\","
     "\"topic\":\"b/#\",\"allow\":true}",
     false},
    {"{\"command\":\"addRoleACL\",\"rolename\":\"s\",\"acltype\":\"publishClientReceive\","
     "\"topic\":\"b/%u\"}",
     false},
    {"{\"command\":\"removeRoleACL\",\"rolename\":\"s\",\"acltype\":\"subscribePattern\","
     "\"topic\":\"b/#\"}",
     false},
    {"{\"command\":\"modifyRole\",\"rolename\":\"s\",\"allowwildcardsubs\":false,\"acls\":["
     "{\"acltype\":\"publishClientSend\",\"topic\":\"c\"}]}",
     false},
    {"{\"command\":\"setAnonymousGroup\",\"groupname\":\"g\"}", false},
    {"{\"command\":\"getAnonymousGroup\"}", false},
    {"{\"command\":\"setCertificateGroup\",\"groupname\":\"h\"}", false},
    {"{\"command\":\"getCertificateGroup\"}", false},
    {"{\"command\":\"setCertificateGroup\",\"groupname\":\"\"}", false},
    {"{\"command\":\"listClients\",\"verbose\":true}", false},
    {"{\"command\":\"getGroup\",\"groupname\":\"g\"}", false},
    {"{\"command\":\"listGroups\",\"verbose\":true}", false},
    {"{\"command\":\"getRole\",\"rolename\":\"s\"}", false},
    {"{\"command\":\"listRoles\"}", false},
    {"{\"command\":\"removeClientRole\",\"username\":\"u\",\"rolename\":\"s\"}", false},
    {"{\"command\":\"deleteRole\",\"rolename\":\"r\"}", false},
    {"{\"command\":\"deleteClient\",\"username\":\"u\"}", false},
    {"{\"command\":\"deleteGroup\",\"groupname\":\"h\"}", false},
};

static void commands_are_done_whole_or_not_at_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        do_step(&steps[i]);
    }
    const struct nj_dynsec_state *now = nj_dynsec_state(dynsec);
    assert_non_null(nj_dynsec_client(now, NJ_BYTES_LIT("v")));
    assert_null(nj_dynsec_client(now, NJ_BYTES_LIT("u")));
    assert_non_null(nj_dynsec_role(now, NJ_BYTES_LIT("s")));
}

/* What nobody can be told of is not done. */
static void a_lost_answer_undoes_the_request(void **state)
{
    static const struct step step = {
        "{\"command\":\"createClient\",\"username\":\"lost\",\"generatePassword\":true}", true};
    struct work work;
    unsigned had = published;
    (void)state;
    work_init(&work, &step);
    assert_true(run(&work));
    work.request.is_lost = true;
    finish(&work);
    assert_null(nj_dynsec_client(nj_dynsec_state(dynsec), NJ_BYTES_LIT("lost")));
    assert_int_equal(published, had);
    const json_t *response = json_array_get(work.request.responses, 0);
    assert_non_null(json_object_get(response, "error"));
    assert_null(json_object_get(response, "data"));
    work_fini(&work);
}

static void each_command_is_among_the_steps(void **state)
{
    (void)state;
    for (size_t i = 0; i < nj_dynsec_api.command_count; i++) {
        char quoted[64];
        const char *name = nj_dynsec_api.commands[i].name;
        bool is_there = strcmp(name, "getClient") == 0 || strcmp(name, "exportConfig") == 0;
        (void)snprintf(quoted, sizeof(quoted), "\"%s\"", name);
        for (size_t k = 0; k < sizeof(steps) / sizeof(steps[0]); k++) {
            is_there = is_there || strstr(steps[k].text, quoted);
        }
        if (!is_there) {
            print_error("%s\n", name);
        }
        assert_true(is_there);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_command_is_among_the_steps),
        cmocka_unit_test(commands_are_done_whole_or_not_at_all),
        cmocka_unit_test(a_lost_answer_undoes_the_request),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
