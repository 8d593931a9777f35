/* docs/control.md, and the same as JSON, made from the tables of commands. */
#include <string.h>

#include "control/control_priv.h"
#include "control/dynsec_api.h"

static const struct nj_control_api *const apis[] = {
    &nj_dynsec_api, &nj_broker_api,   &nj_inspect_api,
    &nj_client_api, &nj_nightjar_api, &nj_certificate_api,
};
#define API_COUNT (sizeof(apis) / sizeof(apis[0]))

static const char *type_name(enum nj_control_arg_type type)
{
    static const char *const names[] = {
        [NJ_ARG_STRING] = "string",   [NJ_ARG_BOOL] = "boolean",  [NJ_ARG_INTEGER] = "integer",
        [NJ_ARG_OBJECTS] = "objects", [NJ_ARG_OBJECT] = "object",
    };
    return names[type];
}

/* ---- JSON */

static json_t *describe_args(const struct nj_control_arg *rows)
{
    json_t *list = json_array();
    for (const struct nj_control_arg *row = rows; row && row->name; row++) {
        char error[160];
        (void)snprintf(error, sizeof(error), "Invalid/missing %s", row->name);
        json_t *arg =
            json_pack("{s:s, s:s, s:b, s:s, s:s}", "name", row->name, "type", type_name(row->type),
                      "required", (row->flags & NJ_ARG_REQUIRED) != 0, "error",
                      row->error ? row->error : error, "doc", row->doc ? row->doc : "");
        if (row->flags & NJ_ARG_NULLABLE) {
            (void)json_object_set_new(arg, "nullable", json_true());
        }
        if (row->empty) {
            (void)json_object_set_new(arg, "empty", json_string(row->empty));
        }
        if (row->type == NJ_ARG_STRING) {
            (void)json_object_set_new(arg, "bytes",
                                      json_integer((json_int_t)nj_control_text_max(row)));
        }
        if (row->type == NJ_ARG_INTEGER && row->min < row->max) {
            (void)json_object_set_new(arg, "min", json_integer(row->min));
            (void)json_object_set_new(arg, "max", json_integer(row->max));
        }
        if (row->fields) {
            (void)json_object_set_new(arg, "fields", describe_args(row->fields));
        }
        (void)json_array_append_new(list, arg);
    }
    return list;
}

json_t *nj_control_describe_api(const struct nj_control_api *api)
{
    json_t *commands = json_array();
    for (size_t i = 0; i < api->command_count; i++) {
        const struct nj_control_command *row = &api->commands[i];
        (void)json_array_append_new(commands,
                                    json_pack("{s:s, s:s, s:b, s:b, s:s?, s:o}", "name", row->name,
                                              "doc", row->doc ? row->doc : "", "changes",
                                              (row->flags & NJ_COMMAND_CHANGES) != 0, "private",
                                              (row->flags & NJ_COMMAND_PRIVATE) != 0, "answers",
                                              row->answers, "args", describe_args(row->args)));
    }
    return json_pack("{s:s, s:s?, s:o, s:o}", "name", api->name, "doc", api->doc, "envelope",
                     describe_args(api->envelope), "commands", commands);
}

/* ---- Markdown */

static void print_args(FILE *out, const struct nj_control_arg *rows, int depth)
{
    for (const struct nj_control_arg *row = rows; row && row->name; row++) {
        (void)fprintf(out, "%*s- `%s`: %s%s%s%s%s", depth * 2, "", row->name, type_name(row->type),
                      row->flags & NJ_ARG_REQUIRED ? ", required" : "",
                      row->flags & NJ_ARG_SECRET ? ", never logged" : "", row->doc ? ": " : "",
                      row->doc ? row->doc : "");
        if (row->type == NJ_ARG_INTEGER && row->min < row->max && row->max < INT32_MAX) {
            (void)fprintf(out, " (%lld to %lld)", (long long)row->min, (long long)row->max);
        }
        (void)fputc('\n', out);
        print_args(out, row->fields, depth + 1);
    }
}

static void print_command(FILE *out, const struct nj_control_command *row)
{
    (void)fprintf(out, "\n### %s\n\n%s", row->name, row->doc ? row->doc : "");
    if (row->flags & NJ_COMMAND_CHANGES) {
        (void)fputs(" Logged with its sender.", out);
    }
    if (row->flags & NJ_COMMAND_PRIVATE) {
        (void)fputs(" The answer goes to the sender alone in every mode.", out);
    }
    (void)fputc('\n', out);
    if (row->args && row->args->name) {
        (void)fputc('\n', out);
        print_args(out, row->args, 0);
    }
    if (row->answers) {
        (void)fprintf(out, "\nAnswers: %s\n", row->answers);
    }
}

static void print_head(FILE *out)
{
    (void)fputs(
        "# Control APIs\n"
        "\n"
        "<!-- Made from the tables of commands (src/control) by the program\n"
        "     write_control_reference. Do not edit: a test compares. -->\n"
        "\n"
        "A client that has the right to publish to `$CONTROL/<api>` asks the broker there, while\n"
        "it runs; `nj ctl` does it from a command line. A request is JSON, at most 1 MiB, 32\n"
        "levels and 10,000 commands:\n"
        "\n"
        "```json\n"
        "{\"commands\": [{\"command\": \"getStatus\", \"correlationData\": \"1\"}]}\n"
        "```\n"
        "\n"
        "It is acknowledged at once, carried out after those that the client sent before, and\n"
        "answered with one entry for each command in their order:\n"
        "\n"
        "```json\n"
        "{\"responses\": [{\"command\": \"getStatus\", \"data\": {}, \"correlationData\": "
        "\"1\"}]}\n"
        "```\n"
        "\n"
        "- An entry with `error` failed; `code` beside it says the kind of failure: 1 a bad\n"
        "  request or argument, 2 unknown command, 3 not found, 4 exists, 5 forbidden, 6 changed\n"
        "  meanwhile, 7 a limit, 8 not saved and so not done, 9 internal, 10 another command of "
        "an\n"
        "  atomic request failed. (Compat mode: no `code`.)\n"
        "- With an MQTT 5 response topic the answer goes straight to the asking connection, under\n"
        "  that topic and with the correlation data, whatever it subscribed and may receive. Else\n"
        "  it comes as `$CONTROL/<api>/response`, if the client subscribed that and may receive\n"
        "  it; nobody else gets it. (Compat mode: everyone who subscribed that and may receive it\n"
        "  does, as with the original.) Answers have QoS 0 and are never retained; a client that\n"
        "  is gone gets none.\n"
        "- Rights are asked when the request comes in and again before each command.\n"
        "- Command names are compared without case. Keys that are not named below are ignored.\n"
        "  The same key twice, text that is not UTF-8 and U+0000 make a request invalid.\n"
        "- A client may have 256 requests or 8 MiB waiting, all together 8192 or 64 MiB. More are\n"
        "  refused with 0x97 in the acknowledgement, or with an answer where there is none.\n"
        "- When the answers to a request are 16 MiB, its other commands are refused (code 7).\n"
        "- Requests are never routed, retained or stored, and wills to `$CONTROL` are refused.\n"
        "- All but dynamic security and certificate management are there unless\n"
        "  `enable_control_api false` (compat mode: only with `enable_control_api true`).\n",
        out);
}

void nj_control_print_reference(FILE *out)
{
    print_head(out);
    for (size_t i = 0; i < API_COUNT; i++) {
        (void)fprintf(out, "\n## $CONTROL/%s\n\n%s\n", apis[i]->name,
                      apis[i]->doc ? apis[i]->doc : "");
        if (apis[i]->envelope && apis[i]->envelope->name) {
            (void)fputs("\nBeside `commands`:\n\n", out);
            print_args(out, apis[i]->envelope, 0);
        }
        for (size_t j = 0; j < apis[i]->command_count; j++) {
            print_command(out, &apis[i]->commands[j]);
        }
    }
}

const struct nj_control_api *nj_control_known_api(size_t index)
{
    return index < API_COUNT ? apis[index] : NULL;
}
