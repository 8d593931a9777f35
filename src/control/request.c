/* A request at work: envelope, rights, command after command, the end. See api.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/control_priv.h"
#include "front/door.h"
#include "front/front.h"
#include "security/login.h"

#define UNKNOWN "Unknown command"

/* ---- answers */

/* As the table writes it, whatever case it came in: so does the original. */
static const char *command_name(const struct nj_control_request *request)
{
    if (request->call.command) {
        return request->call.command->name;
    }
    const json_t *name = json_object_get(request->call.args, "command");
    return json_is_string(name) ? json_string_value(name) : UNKNOWN;
}

/* Room for one more line of the log; the last one stays when memory is short. */
static struct nj_control_line *add_line(struct nj_control_request *request)
{
    if (request->line_count == request->line_cap) {
        size_t cap = request->line_cap ? request->line_cap * 2 : 4;
        struct nj_control_line *grown = nj_try_realloc(request->lines, cap * sizeof(*grown));
        if (!grown) {
            return NULL;
        }
        request->lines = grown;
        request->line_cap = cap;
    }
    return &request->lines[request->line_count++];
}

/* Who changes what. Secrets are masked by their row. What came of it is known when the request
 * ends: the saving at its end may fail. */
static void note_change(struct nj_control_request *request, const char *error)
{
    const struct nj_control_call *call = &request->call;
    const struct nj_control_caller *caller = &request->caller;
    struct nj_buf text;
    if (!call->command || !(call->command->flags & NJ_COMMAND_CHANGES)) {
        return;
    }
    struct nj_control_line *line = add_line(request);
    if (!line) {
        return;
    }
    nj_buf_init(&text);
    (void)!nj_buf_printf(&text, "%.*s (%.*s, %s) %s/%s",
                         caller->user.ptr ? (int)caller->user.len : 9,
                         caller->user.ptr ? (const char *)caller->user.ptr : "anonymous",
                         (int)caller->client_id.len, (const char *)caller->client_id.ptr,
                         caller->address, request->entry->api->name, call->command->name);
    nj_control_args_text(call->command->args, call->args, &text);
    (void)!nj_buf_printf(&text, "%s%.*s", call->note.len ? "; " : "", (int)call->note.len,
                         call->note.len ? (const char *)call->note.data : "");
    *line = (struct nj_control_line){
        .text = nj_try_bytes_dup(nj_buf_bytes(&text)),
        .error = error ? nj_try_bytes_dup(nj_bytes_of(error)) : NULL,
    };
    nj_buf_fini(&text);
}

void nj_control_request_log(struct nj_control_request *request)
{
    for (size_t i = 0; i < request->line_count; i++) {
        struct nj_control_line *line = &request->lines[i];
        nj_log(NJ_LOG_NOTICE, "Control: %s: %s.", line->text ? line->text : "a change",
               line->error ? line->error : "done");
        nj_free(line->text);
        nj_free(line->error);
    }
    request->line_count = 0;
}

void nj_control_request_log_failed(struct nj_control_request *request, const char *error)
{
    for (size_t i = 0; i < request->line_count; i++) {
        if (!request->lines[i].error) {
            request->lines[i].error = nj_try_bytes_dup(nj_bytes_of(error));
        }
    }
}

void nj_control_request_answer(struct nj_control_request *request, json_t *data,
                               enum nj_control_fault fault, const char *error)
{
    note_change(request, error);
    if (request->call.command && request->call.command->flags & NJ_COMMAND_PRIVATE) {
        request->is_private = true;
    }
    nj_control_reply_add(request, command_name(request), data, fault, error);
    nj_buf_fini(&request->call.note);
    request->call = (struct nj_control_call){.request = request};
}

static void refuse(struct nj_control_request *request, enum nj_control_fault fault,
                   const char *error)
{
    nj_control_request_answer(request, NULL, fault, error);
}

/* ---- calls, from handlers */

static void ring(const struct nj_control_plane *plane)
{
    if (!plane->is_over) {
        nj_door_ring(plane->front->door);
    }
}

static void ended(struct nj_control_request *request)
{
    NJ_ASSERT(request->state == NJ_CONTROL_WAITING);
    request->state = NJ_CONTROL_RUNNING;
    ring(request->plane);
}

void nj_control_call_make_private(struct nj_control_call *call)
{
    call->request->is_private = true;
}

void nj_control_call_done(struct nj_control_call *call, json_t *data)
{
    struct nj_control_request *request = call->request;
    nj_control_request_answer(request, data, NJ_REFUSED_INVALID, NULL);
    ended(request);
}

void nj_control_call_fail(struct nj_control_call *call, enum nj_control_fault fault,
                          const char *text)
{
    struct nj_control_request *request = call->request;
    nj_control_request_answer(request, NULL, fault, text);
    ended(request);
}

void nj_control_call_failf(struct nj_control_call *call, enum nj_control_fault fault,
                           const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    nj_control_call_fail(call, fault, text);
}

void nj_control_call_note(struct nj_control_call *call, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (len > 0) {
        call->note.len = 0;
        (void)!nj_buf_printf(&call->note, "%s", text);
    }
}

struct nj_control_plane *nj_control_call_plane(const struct nj_control_call *call)
{
    return call->request->plane;
}

struct nj_control_request *nj_control_call_request(const struct nj_control_call *call)
{
    return call->request;
}

const struct nj_control_command *nj_control_call_command(const struct nj_control_call *call)
{
    return call->command;
}

const struct nj_control_caller *nj_control_call_caller(const struct nj_control_call *call)
{
    return &call->request->caller;
}

void *nj_control_call_ctx(const struct nj_control_call *call)
{
    return call->request->entry->ctx;
}

json_t *nj_control_call_args(const struct nj_control_call *call)
{
    return call->args;
}

enum nj_err nj_control_call_hash(struct nj_control_call *call, struct nj_bytes password,
                                 char out[NJ_HASH_TEXT_MAX])
{
    struct nj_control_request *request = call->request;
    size_t place = request->next - 1;
    while (request->hash_next < request->hash_count) {
        const struct nj_control_hash *hash = &request->hashes[request->hash_next];
        if (hash->command == place && hash->text) {
            (void)snprintf(out, NJ_HASH_TEXT_MAX, "%s", hash->text);
            return NJ_OK;
        }
        if (hash->command >= place) {
            break;
        }
        request->hash_next++;
    }
    return nj_password_hash(password, request->entry->api->hash_cost(request->entry->ctx), out);
}

const char *nj_control_call_string(const struct nj_control_call *call, const char *name)
{
    return json_string_value(json_object_get(call->args, name));
}

bool nj_control_call_bool(const struct nj_control_call *call, const char *name, bool otherwise)
{
    const json_t *value = json_object_get(call->args, name);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

int64_t nj_control_call_int(const struct nj_control_call *call, const char *name, int64_t otherwise)
{
    const json_t *value = json_object_get(call->args, name);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

/* ---- requests, from begin and end */

json_t *nj_control_request_envelope(const struct nj_control_request *request)
{
    return request->envelope;
}

const struct nj_control_caller *nj_control_request_caller(const struct nj_control_request *request)
{
    return &request->caller;
}

struct nj_control_plane *nj_control_request_plane(const struct nj_control_request *request)
{
    return request->plane;
}

size_t nj_control_request_count(const struct nj_control_request *request)
{
    return json_array_size(request->commands);
}

size_t nj_control_request_failures(const struct nj_control_request *request)
{
    return request->failures;
}

void nj_control_request_end(struct nj_control_request *request)
{
    NJ_ASSERT(request->state == NJ_CONTROL_ENDING);
    request->state = NJ_CONTROL_ENDED;
    ring(request->plane);
}

/* ---- the work */

bool nj_control_caller_may(const struct nj_control_plane *plane,
                           const struct nj_control_caller *caller, enum nj_action action,
                           struct nj_bytes topic)
{
    struct nj_verdict verdict;
    struct nj_subject subject;
    nj_subject_init(&subject, caller->user, caller->client_id, caller->scope);
    subject.by_certificate = caller->by_certificate;
    nj_authz(atomic_load(&plane->front->core.policy), &subject, action, topic, &verdict);
    nj_subject_fini(&subject);
    return verdict.allowed;
}

static const struct nj_control_command *find_command(const struct nj_control_api *api,
                                                     const char *name)
{
    for (size_t i = 0; i < api->command_count; i++) {
        if (strcasecmp(api->commands[i].name, name) == 0) {
            return &api->commands[i];
        }
    }
    return NULL;
}

/* Rights may have changed since the request came in. So may have who gets in at all: the session of
 * a client that was disabled meanwhile is gone, but his request may have waited for its passwords
 * to be hashed, and roles are still there. */
static bool may_go_on(const struct nj_control_request *request)
{
    const struct nj_control_caller *caller = &request->caller;
    const struct nj_login_held held = {
        .user = caller->user,
        .client_id = caller->client_id,
        .credential = caller->credential,
    };
    return nj_login_still_holds(atomic_load(&request->plane->front->core.policy), caller->scope,
                                &held) &&
           nj_control_caller_may(request->plane, caller, NJ_ACTION_PUBLISH, request->from->topic);
}

/* One command; false when nothing behind it may run (a batch that is no list of commands). */
static bool run_command(struct nj_control_request *request, json_t *object)
{
    char error[160];
    struct nj_control_call *call = &request->call;
    call->command = NULL;
    if (!json_is_object(object)) {
        refuse(request, NJ_REFUSED_INVALID, "Command not an object");
        return false;
    }
    call->args = object;
    const json_t *name = json_object_get(object, "command");
    const json_t *correlation = json_object_get(object, "correlationData");
    if (!json_is_string(name)) {
        refuse(request, NJ_REFUSED_INVALID, "Missing command");
        return true;
    }
    if (correlation && !json_is_string(correlation)) {
        refuse(request, NJ_REFUSED_INVALID, "Invalid correlationData data type.");
        return true;
    }
    call->command = find_command(request->entry->api, json_string_value(name));
    if (!call->command) {
        refuse(request, NJ_REFUSED_UNKNOWN_COMMAND, UNKNOWN);
        return true;
    }
    if (!may_go_on(request)) {
        refuse(request, NJ_REFUSED_FORBIDDEN, "Not authorised");
        return true;
    }
    /* A short request may ask ten thousand times for everything there is. */
    if (request->answer_bytes > NJ_CONTROL_ANSWERS_MAX) {
        refuse(request, NJ_REFUSED_LIMIT, "The answers are too large; ask for less at once");
        return true;
    }
    const char *text = nj_control_args_check(call->command->args, object, error, sizeof(error));
    if (text) {
        refuse(request, NJ_REFUSED_INVALID, text);
        return true;
    }
    request->state = NJ_CONTROL_WAITING;
    call->command->handler(call);
    return true;
}

static void run_commands(struct nj_control_request *request, uint64_t until_ms)
{
    size_t count = json_array_size(request->commands);
    while (request->state == NJ_CONTROL_RUNNING && request->next < count) {
        if (!run_command(request, json_array_get(request->commands, request->next++))) {
            request->next = count;
        }
        if (nj_clock_mono_ms() >= until_ms) {
            return;
        }
    }
}

static void finish(struct nj_control_request *request)
{
    const struct nj_control_entry *entry = request->entry;
    if (entry && entry->api->end && request->commands) {
        request->state = NJ_CONTROL_ENDING;
        entry->api->end(entry->ctx, request);
    } else {
        request->state = NJ_CONTROL_ENDED;
    }
}

bool nj_control_request_work(struct nj_control_request *request, uint64_t until_ms)
{
    run_commands(request, until_ms);
    if (request->state == NJ_CONTROL_RUNNING) {
        if (request->next < json_array_size(request->commands)) {
            nj_door_ring(request->plane->front->door); /* its time is up: later more */
            return false;
        }
        finish(request);
    }
    if (request->state != NJ_CONTROL_ENDED) {
        return false;
    }
    nj_control_request_log(request);
    nj_control_reply_send(request);
    nj_control_request_free(request);
    return true;
}

/* ---- beginning */

static const struct nj_control_entry *find_api(const struct nj_control_plane *plane,
                                               struct nj_bytes topic)
{
    size_t prefix = strlen("$CONTROL/");
    for (unsigned i = 0; i < plane->api_count; i++) {
        struct nj_bytes name = nj_bytes_of(plane->apis[i].api->name);
        if (topic.len > prefix &&
            nj_bytes_equal(nj_bytes(topic.ptr + prefix, topic.len - prefix), name)) {
            return nj_control_api_is_on(plane, plane->apis[i].api) ? &plane->apis[i] : NULL;
        }
    }
    return NULL;
}

static const char *open_envelope(struct nj_control_request *request, char *buf, size_t size)
{
    if (request->from->is_too_large) {
        return "Payload too large";
    }
    request->envelope = nj_control_json_parse(request->from->payload);
    if (!json_is_object(request->envelope)) {
        return "Payload not valid JSON";
    }
    json_t *commands = json_object_get(request->envelope, "commands");
    if (!json_is_array(commands)) {
        return "Invalid/missing commands";
    }
    if (json_array_size(commands) > NJ_CONTROL_COMMANDS_MAX) {
        return "Too many commands";
    }
    const char *text =
        nj_control_args_check(request->entry->api->envelope, request->envelope, buf, size);
    if (!text) {
        request->commands = commands;
    }
    return text;
}

static void open_request(struct nj_control_request *request)
{
    char error[160];
    request->entry = find_api(request->plane, request->from->topic);
    if (!request->entry) {
        json_object_del(request->reply, "responses");
        request->responses = NULL;
        (void)json_object_set_new(request->reply, "error", json_string("endpoint not available"));
        return;
    }
    const char *text = open_envelope(request, error, sizeof(error));
    if (text) {
        refuse(request, NJ_REFUSED_INVALID, text);
    }
}

void nj_control_request_begin(struct nj_control_request *request)
{
    const struct nj_control_entry *entry = request->entry;
    if (request->commands && entry->api->begin && entry->api->begin(entry->ctx, request) != NJ_OK) {
        request->commands = NULL;
    }
}

void nj_control_request_refuse(struct nj_control_request *request, enum nj_control_fault fault,
                               const char *text)
{
    request->commands = NULL;
    refuse(request, fault, text);
}

const struct nj_control_command *nj_control_request_row(const struct nj_control_request *request,
                                                        json_t *object)
{
    char error[160];
    const char *name = json_string_value(json_object_get(object, "command"));
    const struct nj_control_command *row = name ? find_command(request->entry->api, name) : NULL;
    return row && !nj_control_args_check(row->args, object, error, sizeof(error)) ? row : NULL;
}

struct nj_control_request *nj_control_request_new(struct nj_control_plane *plane,
                                                  struct nj_request *from)
{
    struct nj_control_request *request = nj_zalloc(sizeof(*request));
    *request = (struct nj_control_request){
        .plane = plane,
        .from = from,
        .caller = {.user = from->user,
                   .client_id = from->client_id,
                   .by_certificate = from->by_certificate,
                   .scope = from->scope,
                   .credential = from->credential,
                   .address = (const char *)from->address.ptr,
                   .session = from->session,
                   .connection = from->connection,
                   .worker = from->worker,
                   .version = from->version,
                   .is_private = from->response_topic.ptr != NULL},
        .state = NJ_CONTROL_RUNNING,
        .reply = json_object(),
        .responses = json_array(),
    };
    request->call.request = request;
    if (!request->reply || !request->responses) {
        json_decref(request->responses);
        nj_control_request_free(request);
        return NULL;
    }
    (void)json_object_set_new(request->reply, "responses", request->responses);
    open_request(request);
    return request;
}

void nj_control_request_free(struct nj_control_request *request)
{
    if (!request) {
        return;
    }
    nj_buf_fini(&request->call.note);
    nj_control_request_log_failed(request, "the broker stopped before it was saved");
    nj_control_request_log(request);
    nj_free(request->lines);
    for (size_t i = 0; i < request->hash_count; i++) {
        nj_free(request->hashes[i].text);
    }
    nj_free(request->hashes);
    json_decref(request->envelope);
    json_decref(request->reply);
    nj_request_free(request->from);
    nj_free(request);
}
