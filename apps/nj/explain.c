/* `nj explain`: may this client do that, why (not), and what would have to change? Read from the
 * files that a broker reads, decided by the code that the broker decides with. */
#include "security/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "base/mem.h"
#include "command.h"
#include "config/settings.h"
#include "explain_online.h"
#include "manual.h"
#include "mqtt/topic.h"
#include "mqtt/utf8.h"
#include "opts.h"
#include "pretty.h"
#include "security/acl.h"
#include "security/password_file.h"
#include "security/policy.h"
#include "site.h"

enum {
    STATUS_ALLOWED,
    STATUS_DENIED,
    STATUS_TROUBLE
};

struct job {
    const struct nj_command *command;
    const char *config;       /* -c */
    const char *acl;          /* --acl: without a configuration */
    const char *passwords;    /* --passwords: the same */
    const char *options_file; /* -o, with --online */
    const char *user;
    const char *client_id;
    const char *listener; /* -p: port or path */
    enum nj_site_mode mode;
    bool is_json;
    bool is_online;
    enum nj_action action;
    const char *topic;
    struct nj_buf full_topic; /* with the mount point */
};

static const struct nj_option_text OPTIONS[] = {
    {"-c", "--config-file", "FILE", "<file>", "Which broker",
     "its configuration (/etc/nightjar/nightjar.conf)", 1},
    {"-p", "--listener", "PORT", NULL, "Which broker",
     "the listener with this port or unix socket (the first one)", 1},
    {NULL, "--acl", "FILE", "<file>", "Which broker", "an ACL file alone, without a configuration",
     1},
    {NULL, "--passwords", "FILE", "<file>", "Which broker", "with --acl: a password file beside it",
     1},
    {NULL, "--compat", "MODE", "none|mosquitto", "Which broker",
     "none or mosquitto (as the configuration says, else none)", 1},
    {NULL, "--online", NULL, NULL, "Which broker",
     "the running broker that nj ctl would ask, under the rules that it\nhas now", 1},
    {"-o", NULL, "FILE", "<file>", "Which broker",
     "with --online: options for the connection, as of nj ctl", 1},
    {"-u", "--username", "NAME", NULL, "Which client", "user name (none: an anonymous client)", 1},
    {"-i", "--id", "ID", NULL, "Which client", "client id", 1},
    {NULL, "--json", NULL, NULL, "Other", "the answer as one JSON object", 1},
    {NULL, "--help", NULL, NULL, "Other", "this text", 1},
};

static const struct nj_option_text *option_text(size_t index)
{
    return index < sizeof(OPTIONS) / sizeof(OPTIONS[0]) ? &OPTIONS[index] : NULL;
}

const struct nj_manual NJ_MANUAL_EXPLAIN = {
    .word = "explain",
    .summary = "say why a client may or may not use a topic, and what would allow it",
    .synopsis = {"[-c FILE] [-u NAME] [-i ID] {publish | receive | subscribe | unsubscribe | will} "
                 "TOPIC",
                 "--acl FILE [--passwords FILE] [-u NAME] [-i ID] ACTION TOPIC",
                 "--online [-o FILE] [-u NAME] [-i ID] ACTION TOPIC"},
    .description =
        "Reads the files that the broker reads (ACL file, password file, dynamic security) and "
        "decides with the broker's own code. Said are the verdict, the rule that decided with its "
        "file and line, the rules that came close and why they are not enough, and the smallest "
        "change that would allow it, which has been tried.\n\n"
        "A broker that runs may still have read older files: it takes changes over when it "
        "reloads.",
    .tool = 1,
    .option = option_text,
    .words = "publish|receive|subscribe|unsubscribe|will",
    .statuses = {{"0", "it is allowed"}, {"1", "it is denied"}, {"2", "it cannot be said"}},
    .files = {{"/etc/nightjar/nightjar.conf", "the configuration, unless -c names another one"}},
    .examples = {{"nj explain -u alice publish alarms/kitchen", "may alice publish there?"},
                 {"nj explain --acl acl.txt -u bob -i pump-7 subscribe 'pumps/#'",
                  "before an ACL file goes to a broker"}},
    .see_also = "nj(1), nj-check(1), nightjar.conf(5)",
};

/* ---- the command line */

static const char *const ACTION_WORDS[NJ_ACTION_COUNT] = {
    [NJ_ACTION_PUBLISH] = "publish",     [NJ_ACTION_DELIVER] = "receive",
    [NJ_ACTION_SUBSCRIBE] = "subscribe", [NJ_ACTION_UNSUBSCRIBE] = "unsubscribe",
    [NJ_ACTION_WILL] = "will",
};

static bool take_action(struct job *job, const char *word)
{
    for (int i = 0; i < NJ_ACTION_COUNT; i++) {
        if (strcmp(ACTION_WORDS[i], word) == 0) {
            job->action = (enum nj_action)i;
            return true;
        }
    }
    fprintf(stderr,
            "Error: '%s' is no action; publish, receive, subscribe, unsubscribe and will "
            "are.\n",
            word);
    return false;
}

static const char **text_option(struct job *job, const char *arg)
{
    const struct {
        const char *shorts;
        const char *longs;
        const char **slot;
    } rows[] = {
        {"-c", "--config-file", &job->config}, {"-p", "--listener", &job->listener},
        {"-u", "--username", &job->user},      {"-i", "--id", &job->client_id},
        {"-o", "", &job->options_file},        {"", "--acl", &job->acl},
        {"", "--passwords", &job->passwords},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(arg, rows[i].shorts) == 0 || strcmp(arg, rows[i].longs) == 0) {
            return rows[i].slot;
        }
    }
    return NULL;
}

/* One option; *at moves on when it has a value. */
static bool take_option(struct job *job, const char *arg, char **argv, int *at)
{
    if (strcmp(arg, "--json") == 0) {
        job->is_json = true;
        return true;
    }
    if (strcmp(arg, "--online") == 0) {
        job->is_online = true;
        return true;
    }
    if (strcmp(arg, "--compat") == 0) {
        const char *value = argv[*at + 1];
        *at += value != NULL ? 1 : 0;
        return nj_site_take_mode(value, &job->mode);
    }
    const char **slot = text_option(job, arg);
    if (slot == NULL) {
        fprintf(stderr, "Error: Unknown option '%s'.\n", arg);
        return false;
    }
    if (argv[*at + 1] == NULL) {
        fprintf(stderr, "Error: %s needs a value.\n", arg);
        return false;
    }
    *slot = argv[++*at];
    return true;
}

static bool is_topic_good(const struct job *job)
{
    bool is_filter = job->action == NJ_ACTION_SUBSCRIBE || job->action == NJ_ACTION_UNSUBSCRIBE;
    if (!nj_opts_is_utf8(job->topic) ||
        !(is_filter ? nj_opts_is_filter(job->topic) : nj_opts_is_topic(job->topic))) {
        fprintf(stderr, "Error: '%s' is no valid %s.\n", job->topic,
                is_filter ? "filter; + and # fill whole levels, # is the last one"
                          : "topic; only filters have + and #");
        return false;
    }
    return true;
}

/* 0 = go on, else the exit status + 1. */
static int parse(struct job *job, int argc, char **argv)
{
    const char *words[2] = {NULL, NULL};
    int count = 0;
    for (int i = 1; i < argc; i++) {
        char plain[32];
        const char *arg = nj_opts_plain_dashes(argv[i], plain, sizeof(plain));
        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            nj_manual_print_usage(&NJ_MANUAL_EXPLAIN, job->command, stdout);
            return 1;
        }
        if (arg[0] == '-' && arg[1] != '\0') {
            if (!take_option(job, arg, argv, &i)) {
                (void)nj_manual_point_to_help(job->command);
                return STATUS_TROUBLE + 1;
            }
        } else if (count < 2) {
            words[count++] = argv[i];
        } else {
            fprintf(stderr, "Error: '%s' is too much; one action and one topic.\n", argv[i]);
            return STATUS_TROUBLE + 1;
        }
    }
    if (count < 2) {
        fprintf(stderr, "Error: an action and a topic are needed: %s publish TOPIC.\n",
                job->command->name);
        (void)nj_manual_point_to_help(job->command);
        return STATUS_TROUBLE + 1;
    }
    job->topic = words[1];
    return take_action(job, words[0]) && is_topic_good(job) ? 0 : STATUS_TROUBLE + 1;
}

/* ---- what decides */

static void print_said(const struct nj_site_said *said, bool only_errors)
{
    for (size_t i = 0; i < said->count; i++) {
        const struct nj_site_line *line = &said->lines[i];
        if (only_errors && line->type != NJ_LOG_ERROR) {
            continue;
        }
        if (line->file != NULL) {
            fprintf(stderr, "%s:%u: ", line->file, line->line);
        }
        fprintf(stderr, "%s%s.\n", line->type == NJ_LOG_ERROR ? "Error: " : "", line->text);
    }
}

/* The files alone, without a configuration. */
static struct nj_policy *policy_of_files(const struct job *job)
{
    bool is_compat = job->mode == NJ_SITE_COMPAT;
    char error[512];
    struct nj_scope scope = {
        .allow_anonymous = true,
        .unverified_user_counts = true, /* whoever is asked for is taken as given */
        .checks_subscribe = !is_compat,
        .share_as_whole = is_compat,
        .default_covers_sys = is_compat,
    };
    const struct nj_acl_options options = {
        .leading_for_all = !is_compat,
        .any_case_keywords = !is_compat,
        .doubtful_as_text = is_compat,
    };
    enum nj_err err = nj_acl_load(job->acl, &options, &scope.acl, error, sizeof(error));
    if (err == NJ_OK && job->passwords != NULL) {
        err = nj_passwords_load(job->passwords, is_compat, &scope.passwords, error, sizeof(error));
    }
    if (err != NJ_OK) {
        fprintf(stderr, "%s%s.\n", error[0] == 'E' ? "" : "Error: ", error);
        nj_acl_free(scope.acl);
        return NULL;
    }
    return nj_policy_new(1, &scope, 1);
}

/* The place of the listener that was asked for. */
static bool find_listener(const struct job *job, const struct nj_settings *settings, size_t *out)
{
    *out = 0;
    if (job->listener == NULL) {
        return true;
    }
    for (size_t i = 0; i < settings->listener_count; i++) {
        const struct nj_listener_settings *listener = &settings->listeners[i];
        char port[12];
        (void)snprintf(port, sizeof(port), "%d", listener->port);
        bool is_path =
            listener->unix_path != NULL && strcmp(listener->unix_path, job->listener) == 0;
        if (is_path || (listener->unix_path == NULL && strcmp(port, job->listener) == 0)) {
            *out = i;
            return true;
        }
    }
    fprintf(stderr, "Error: no listener has the port '%s'; there are:", job->listener);
    for (size_t i = 0; i < settings->listener_count; i++) {
        char name[200];
        fprintf(stderr, "%s %s", i > 0 ? "," : "",
                nj_site_listener_name(&settings->listeners[i], name, sizeof(name)));
    }
    fprintf(stderr, ".\n");
    return false;
}

/* ---- saying it */

static void print_text(FILE *out, struct nj_bytes text)
{
    struct nj_buf safe;
    nj_buf_init(&safe);
    if (nj_pretty_put_safe(&safe, text) == NJ_OK) {
        (void)fwrite(safe.data, 1, safe.len, out);
    }
    nj_buf_fini(&safe);
}

static void print_buf(const struct nj_buf *buf)
{
    print_text(stdout, nj_buf_bytes(buf));
}

/* Lines of their own, indented. */
static void print_lines(const struct nj_buf *buf)
{
    struct nj_bytes rest = nj_buf_bytes(buf);
    while (rest.len > 0) {
        const uint8_t *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;
        (void)fputs("    ", stdout);
        print_text(stdout, nj_bytes(rest.ptr, len));
        (void)fputc('\n', stdout);
        rest = end != NULL ? nj_bytes(end + 1, rest.len - len - 1) : nj_bytes(NULL, 0);
    }
}

static void print_edit(const struct nj_explain_edit *edit)
{
    if (edit->where.len == 0) {
        printf("To allow it, make an ACL file and name it with acl_file in the configuration:\n");
    } else if (nj_bytes_equal(nj_buf_bytes(&edit->where), NJ_BYTES_LIT("dynamic security"))) {
        printf("To allow it, run:\n");
    } else {
        printf("To allow it, ");
        if (edit->is_removal) {
            printf("remove line %u of ", edit->line);
        } else if (edit->line == 0) {
            printf("add at the top of ");
        } else {
            printf("add behind line %u of ", edit->line);
        }
        print_buf(&edit->where);
        printf(":\n");
    }
    print_lines(&edit->text);
}

static void print_head(const struct job *job, const struct nj_explanation *explanation)
{
    static const char *const VERBS[NJ_ACTION_COUNT] = {
        [NJ_ACTION_PUBLISH] = "publish to",     [NJ_ACTION_DELIVER] = "receive",
        [NJ_ACTION_SUBSCRIBE] = "subscribe to", [NJ_ACTION_UNSUBSCRIBE] = "unsubscribe from",
        [NJ_ACTION_WILL] = "have a will on",
    };
    bool allowed = explanation->verdict.allowed;
    printf("%s: ", allowed ? "ALLOWED" : "DENIED");
    if (job->user != NULL) {
        printf("the user '");
        print_text(stdout, nj_bytes_of(job->user));
        printf("'");
    } else {
        printf("an anonymous client");
    }
    printf(" %s %s '", allowed ? "may" : "may not", VERBS[job->action]);
    print_buf(&job->full_topic);
    printf("'.\n  ");
    print_buf(&explanation->why);
    printf(".\n");
}

static void print_answer(const struct job *job, const struct nj_explanation *explanation)
{
    print_head(job, explanation);
    if (explanation->where.len > 0 || explanation->rule.len > 0) {
        printf("  Rule: ");
        print_buf(&explanation->where);
        printf("%s", explanation->where.len > 0 && explanation->rule.len > 0 ? ": " : "");
        print_buf(&explanation->rule);
        printf("\n");
    }
    if (explanation->login.len > 0) {
        printf("  Login: ");
        print_buf(&explanation->login);
        printf(".\n");
    }
    for (size_t i = 0; i < explanation->near_count; i++) {
        const struct nj_explain_near *near = &explanation->near[i];
        printf("%s    ", i == 0 ? "Rules that come close:\n" : "");
        print_buf(&near->where);
        printf(": ");
        print_buf(&near->rule);
        printf("\n        ");
        print_buf(&near->why);
        printf("\n");
    }
    for (size_t i = 0; i < explanation->edit_count; i++) {
        print_edit(&explanation->edits[i]);
    }
    if (explanation->caution.len > 0) {
        printf("  Note: ");
        print_buf(&explanation->caution);
        printf(".\n");
    }
    if (!explanation->verdict.allowed && explanation->edit_count == 0 &&
        explanation->caution.len == 0) {
        printf("No change of rules would allow it.\n");
    }
}

static void put_json(struct nj_json_out *out, const char *key, struct nj_bytes text)
{
    nj_json_out_key(out, key);
    if (text.ptr == NULL) {
        nj_json_out_null(out);
    } else if (nj_mqtt_utf8_is_valid(text)) {
        nj_json_out_text(out, text);
    } else {
        nj_json_out_text(out, NJ_BYTES_LIT("(not UTF-8)")); /* a path, at most */
    }
}

static void put_json_rules(struct nj_json_out *out, const struct nj_explanation *explanation)
{
    nj_json_out_key(out, "near");
    nj_json_out_array(out);
    for (size_t i = 0; i < explanation->near_count; i++) {
        const struct nj_explain_near *near = &explanation->near[i];
        nj_json_out_object(out);
        put_json(out, "where", nj_buf_bytes(&near->where));
        put_json(out, "rule", nj_buf_bytes(&near->rule));
        put_json(out, "why", nj_buf_bytes(&near->why));
        nj_json_out_end(out);
    }
    nj_json_out_end(out);
    nj_json_out_key(out, "change");
    nj_json_out_array(out);
    for (size_t i = 0; i < explanation->edit_count; i++) {
        const struct nj_explain_edit *edit = &explanation->edits[i];
        nj_json_out_object(out);
        put_json(out, "do", nj_bytes_of(edit->is_removal ? "remove" : "add"));
        put_json(out, "where", nj_buf_bytes(&edit->where));
        nj_json_out_key(out, "line");
        nj_json_out_int(out, edit->line);
        put_json(out, "text", nj_buf_bytes(&edit->text));
        nj_json_out_end(out);
    }
    nj_json_out_end(out);
}

static void print_json(const struct job *job, const struct nj_explanation *explanation)
{
    struct nj_buf text;
    struct nj_json_out out;
    nj_buf_init(&text);
    nj_json_out_init(&out, &text, false);
    nj_json_out_object(&out);
    nj_json_out_key(&out, "allowed");
    nj_json_out_bool(&out, explanation->verdict.allowed);
    put_json(&out, "username", nj_bytes_of(job->user));
    put_json(&out, "clientid", nj_bytes_of(job->client_id));
    put_json(&out, "action", nj_bytes_of(ACTION_WORDS[job->action]));
    put_json(&out, "topic", nj_buf_bytes(&job->full_topic));
    put_json(&out, "why", nj_buf_bytes(&explanation->why));
    put_json(&out, "where", nj_buf_bytes(&explanation->where));
    put_json(&out, "rule", nj_buf_bytes(&explanation->rule));
    put_json(&out, "login", nj_buf_bytes(&explanation->login));
    put_json_rules(&out, explanation);
    put_json(&out, "caution", nj_buf_bytes(&explanation->caution));
    nj_json_out_end(&out);
    if (out.err == NJ_OK) {
        (void)fwrite(text.data, 1, text.len, stdout);
        (void)fputc('\n', stdout);
    }
    nj_buf_fini(&text);
}

static int answer(const struct job *job, const struct nj_explanation *explanation)
{
    if (job->is_json) {
        print_json(job, explanation);
    } else {
        print_answer(job, explanation);
    }
    return explanation->verdict.allowed ? STATUS_ALLOWED : STATUS_DENIED;
}

static int explain(const struct job *job, const struct nj_policy *policy, size_t listener,
                   bool by_certificate)
{
    const struct nj_explain_question question = {
        .user = nj_bytes_of(job->user),
        .client_id = nj_bytes_of(job->client_id != NULL ? job->client_id : ""),
        .scope = (unsigned)listener,
        .by_certificate = by_certificate,
        .action = job->action,
        .topic = nj_buf_bytes(&job->full_topic),
    };
    struct nj_explanation explanation;
    int status = STATUS_TROUBLE;
    if (nj_explain_decision(policy, &question, &explanation) != NJ_OK) {
        fprintf(stderr, "Error: Out of memory.\n");
    } else {
        status = answer(job, &explanation);
    }
    nj_explanation_fini(&explanation);
    return status;
}

/* The topic as the broker sees it: behind $share/<group>/, the mount point comes first. */
static enum nj_err put_full_topic(struct job *job, const char *mount_point)
{
    struct nj_bytes topic = nj_bytes_of(job->topic);
    struct nj_bytes group;
    struct nj_bytes inner;
    bool is_filter = job->action == NJ_ACTION_SUBSCRIBE || job->action == NJ_ACTION_UNSUBSCRIBE;
    job->full_topic.len = 0;
    if (mount_point != NULL && is_filter && nj_mqtt_share_parse(topic, &group, &inner)) {
        return nj_buf_printf(&job->full_topic, "$share/%.*s/%s%.*s", (int)group.len,
                             (const char *)group.ptr, mount_point, (int)inner.len,
                             (const char *)inner.ptr);
    }
    return nj_buf_printf(&job->full_topic, "%s%s", mount_point != NULL ? mount_point : "",
                         job->topic);
}

static int explain_files(struct job *job)
{
    struct nj_policy *policy = policy_of_files(job);
    if (policy == NULL) {
        return STATUS_TROUBLE;
    }
    int status =
        put_full_topic(job, NULL) == NJ_OK ? explain(job, policy, 0, false) : STATUS_TROUBLE;
    nj_policy_unref(policy);
    return status;
}

static int explain_site(struct job *job)
{
    struct nj_site_said said;
    int status = STATUS_TROUBLE;
    size_t listener = 0;
    nj_site_listen(&said);
    struct nj_settings *settings =
        nj_site_load(job->config != NULL ? job->config : "/etc/nightjar/nightjar.conf", job->mode);
    struct nj_policy *policy = settings != NULL ? nj_site_policy(settings) : NULL;
    print_said(&said, policy != NULL);
    if (policy != NULL && find_listener(job, settings, &listener)) {
        const struct nj_listener_settings *place = &settings->listeners[listener];
        bool by_certificate = place->use_identity_as_username || place->use_subject_as_username;
        if (put_full_topic(job, place->mount_point) == NJ_OK) {
            status = explain(job, policy, listener, by_certificate);
        }
    }
    nj_policy_unref(policy);
    nj_settings_free(settings);
    nj_site_said_fini(&said);
    return status;
}

static int explain_online(struct job *job)
{
    struct nj_explanation explanation;
    int status = STATUS_TROUBLE;
    if (put_full_topic(job, NULL) != NJ_OK) {
        return status;
    }
    const struct nj_explain_question question = {
        .user = nj_bytes_of(job->user),
        .client_id = nj_bytes_of(job->client_id),
        .action = job->action,
        .topic = nj_buf_bytes(&job->full_topic),
    };
    if (nj_explain_online(job->command, job->options_file, &question, &explanation)) {
        status = answer(job, &explanation);
    }
    nj_explanation_fini(&explanation);
    return status;
}

int nj_cmd_explain(const struct nj_command *command, int argc, char **argv)
{
    struct job job = {.command = command};
    if (argc == 1) {
        nj_manual_print_usage(&NJ_MANUAL_EXPLAIN, command, stderr);
        return STATUS_TROUBLE;
    }
    int ended = parse(&job, argc, argv);
    if (ended != 0) {
        return ended - 1;
    }
    if (job.acl != NULL && job.config != NULL) {
        fprintf(stderr, "Error: --acl is for a file without a configuration; use it or -c.\n");
        return STATUS_TROUBLE;
    }
    bool has_files = job.acl != NULL || job.config != NULL || job.listener != NULL;
    if (job.is_online ? has_files : job.options_file != NULL) {
        fprintf(stderr, "Error: --online takes -o; files and listeners are for the other way.\n");
        return STATUS_TROUBLE;
    }
    nj_buf_init(&job.full_topic);
    int status = job.is_online     ? explain_online(&job)
                 : job.acl != NULL ? explain_files(&job)
                                   : explain_site(&job);
    nj_buf_fini(&job.full_topic);
    return fflush(stdout) == 0 && !ferror(stdout) ? status : STATUS_TROUBLE;
}
