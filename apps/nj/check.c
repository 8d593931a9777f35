/* `nj check`: looks at a configuration, a password file, an ACL file or a file of dynamic security
 * before a broker does. */
#include "check.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json_out.h"
#include "command.h"
#include "manual.h"
#include "mqtt/utf8.h"
#include "opts.h"
#include "security/acl.h"

enum {
    STATUS_GOOD,
    STATUS_WARNINGS, /* with --strict */
    STATUS_ERRORS,
    STATUS_USAGE
};

enum kind {
    KIND_GUESS,
    KIND_CONFIG,
    KIND_ACL,
    KIND_PASSWORDS,
    KIND_DYNSEC,
    KIND_COUNT
};

static const char *const KIND_NAMES[KIND_COUNT] = {"guess", "config", "acl", "passwords", "dynsec"};
#define GUESS_BYTES ((size_t)256 << 20)

struct job {
    const struct nj_command *command;
    const char *path;
    enum kind kind;
    enum nj_site_mode mode;
    bool is_json;
    bool is_strict;
    bool is_quiet;
};

static const struct nj_option_text OPTIONS[] = {
    {NULL, "--as", "KIND", "config|acl|passwords|dynsec", "What it is",
     "config, acl, passwords or dynsec (seen from the first line)", 1},
    {NULL, "--compat", "MODE", "none|mosquitto", "What it is",
     "check for this mode (as the configuration says, else none)", 1},
    {NULL, "--strict", NULL, NULL, "Answer", "warnings end with status 1", 1},
    {NULL, "--json", NULL, NULL, "Answer", "the findings as one JSON object", 1},
    {NULL, "--quiet", NULL, NULL, "Answer", "no notes", 1},
    {NULL, "--help", NULL, NULL, "Other", "this text", 1},
};

static const struct nj_option_text *option_text(size_t index)
{
    return index < sizeof(OPTIONS) / sizeof(OPTIONS[0]) ? &OPTIONS[index] : NULL;
}

const struct nj_manual NJ_MANUAL_CHECK = {
    .word = "check",
    .summary = "look for mistakes in a configuration, or in a file that it names",
    .synopsis = {"[options] FILE"},
    .description =
        "Reads the file as the broker would, and with a configuration every file that it names. "
        "Said are: what the broker refuses (error); what works but hardly as meant, or is unsafe "
        "(warning): ACL rules that never decide, users that nobody knows, passwords in clear text "
        "on the network, weak hashes, certificates that expire within 30 days, keys that do not "
        "fit, files that every user can read, dynamic security that nobody may administer or that "
        "speaks of roles, groups and clients that do not exist; and what is worth knowing (note): "
        "every default that "
        "differs between the modes, rules that say what others say.\n\n"
        "Each finding has a file, a line, in JSON a column, too, and what to do about it. A file "
        "of dynamic security is looked at alone; changes of a running broker that are still in its "
        "journal are not seen.",
    .tool = 1,
    .option = option_text,
    .words = "<file>",
    .statuses = {{"0", "no error (with --strict: no warning, either)"},
                 {"1", "warnings, with --strict"},
                 {"2", "errors: the broker would refuse it"},
                 {"3", "wrong usage"}},
    .examples = {{"nj check /etc/nightjar/nightjar.conf", "before a start or a reload"},
                 {"nj check --strict --json acl.txt", "in a pipeline"}},
    .see_also = "nj(1), nj-explain(1), nightjar.conf(5), nightjar(8)",
};

/* ---- the command line */

static bool take_kind(struct job *job, const char *value)
{
    for (int i = 1; value != NULL && i < KIND_COUNT; i++) {
        if (strcmp(KIND_NAMES[i], value) == 0) {
            job->kind = (enum kind)i;
            return true;
        }
    }
    fprintf(stderr, "Error: --as takes config, acl, passwords or dynsec.\n");
    return false;
}

static bool take_option(struct job *job, const char *arg, char **argv, int *at)
{
    if (strcmp(arg, "--as") == 0 || strcmp(arg, "--compat") == 0) {
        const char *value = argv[*at + 1];
        *at += value != NULL ? 1 : 0;
        return strcmp(arg, "--as") == 0 ? take_kind(job, value)
                                        : nj_site_take_mode(value, &job->mode);
    }
    bool *flag = strcmp(arg, "--json") == 0     ? &job->is_json
                 : strcmp(arg, "--strict") == 0 ? &job->is_strict
                 : strcmp(arg, "--quiet") == 0  ? &job->is_quiet
                                                : NULL;
    if (flag == NULL) {
        fprintf(stderr, "Error: Unknown option '%s'.\n", arg);
        return false;
    }
    *flag = true;
    return true;
}

/* 0 = go on, else the exit status + 1. */
static int parse(struct job *job, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char plain[32];
        const char *arg = nj_opts_plain_dashes(argv[i], plain, sizeof(plain));
        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            nj_manual_print_usage(&NJ_MANUAL_CHECK, job->command, stdout);
            return STATUS_GOOD + 1;
        }
        if (arg[0] == '-' && arg[1] != '\0') {
            if (!take_option(job, arg, argv, &i)) {
                (void)nj_manual_point_to_help(job->command);
                return STATUS_USAGE + 1;
            }
        } else if (job->path != NULL) {
            fprintf(stderr, "Error: one file at a time.\n");
            return STATUS_USAGE + 1;
        } else {
            job->path = argv[i];
        }
    }
    if (job->path == NULL) {
        fprintf(stderr, "Error: which file?\n");
        (void)nj_manual_point_to_help(job->command);
        return STATUS_USAGE + 1;
    }
    return 0;
}

/* ---- what kind of file it is */

static bool is_word_of(struct nj_bytes line, const char *word)
{
    size_t len = strlen(word);
    return line.len > len && strncasecmp((const char *)line.ptr, word, len) == 0 &&
           (line.ptr[len] == ' ' || line.ptr[len] == '\t');
}

/* From the first line that says something. Configurations begin with other words: theirs is
 * `user NAME`, too, but nobody begins with it who has no ACL in mind … so it takes a `topic` or
 * `pattern` line to make an ACL file. */
static enum kind guess(struct nj_bytes rest)
{
    if (nj_bytes_starts_with(rest, NJ_BYTES_LIT("\xef\xbb\xbf"))) {
        rest = nj_bytes(rest.ptr + 3, rest.len - 3);
    }
    while (rest.len > 0) {
        const uint8_t *newline = memchr(rest.ptr, '\n', rest.len);
        size_t len = newline != NULL ? (size_t)(newline - rest.ptr) : rest.len;
        struct nj_bytes line = nj_bytes(rest.ptr, len);
        size_t used = newline != NULL ? len + 1 : len;
        rest = nj_bytes(rest.ptr + used, rest.len - used);
        while (line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t')) {
            line = nj_bytes(line.ptr + 1, line.len - 1);
        }
        if (line.len > 0 && line.ptr[0] == '{') {
            return KIND_DYNSEC;
        }
        if (line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == '\r' ||
            is_word_of(line, "user")) {
            continue;
        }
        if (is_word_of(line, "topic") || is_word_of(line, "pattern")) {
            return KIND_ACL;
        }
        const uint8_t *colon = memchr(line.ptr, ':', line.len);
        bool is_hash = colon != NULL && colon + 1 < line.ptr + line.len && colon[1] == '$';
        return is_hash ? KIND_PASSWORDS : KIND_CONFIG;
    }
    return KIND_CONFIG;
}

static enum kind kind_of(const struct job *job)
{
    struct nj_buf text;
    enum kind kind = job->kind;
    nj_buf_init(&text);
    if (kind == KIND_GUESS) {
        kind = nj_file_read(job->path, GUESS_BYTES, false, &text) == NJ_OK
                   ? guess(nj_buf_bytes(&text))
                   : KIND_CONFIG;
    }
    nj_buf_fini(&text);
    return kind;
}

/* ---- the answer */

static void print_json(const struct job *job, enum kind kind, bool is_compat,
                       const struct nj_findings *findings)
{
    struct nj_buf text;
    struct nj_json_out out;
    nj_buf_init(&text);
    nj_json_out_init(&out, &text, false);
    nj_json_out_object(&out);
    nj_json_out_key(&out, "file");
    nj_json_out_text(&out, nj_mqtt_utf8_is_valid(nj_bytes_of(job->path))
                               ? nj_bytes_of(job->path)
                               : NJ_BYTES_LIT("(not UTF-8)"));
    nj_json_out_key(&out, "kind");
    nj_json_out_text(&out, nj_bytes_of(KIND_NAMES[kind]));
    nj_json_out_key(&out, "compat");
    nj_json_out_text(&out, nj_bytes_of(is_compat ? "mosquitto" : "none"));
    nj_json_out_key(&out, "errors");
    nj_json_out_int(&out, (int64_t)findings->counts[NJ_FINDING_ERROR]);
    nj_json_out_key(&out, "warnings");
    nj_json_out_int(&out, (int64_t)findings->counts[NJ_FINDING_WARNING]);
    nj_json_out_key(&out, "findings");
    nj_findings_put_json(findings, &out);
    nj_json_out_end(&out);
    if (out.err == NJ_OK) {
        (void)fwrite(text.data, 1, text.len, stdout);
        (void)fputc('\n', stdout);
    }
    nj_buf_fini(&text);
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static void print_summary(const struct job *job, bool is_compat, const struct nj_findings *findings)
{
    const size_t *counts = findings->counts;
    printf("%s: %zu error%s, %zu warning%s", job->path, counts[NJ_FINDING_ERROR],
           plural(counts[NJ_FINDING_ERROR]), counts[NJ_FINDING_WARNING],
           plural(counts[NJ_FINDING_WARNING]));
    if (!job->is_quiet) {
        printf(", %zu note%s", counts[NJ_FINDING_NOTE], plural(counts[NJ_FINDING_NOTE]));
    }
    printf(" (%s)\n", is_compat ? "compat mosquitto" : "native mode");
}

static int status_of(const struct job *job, const struct nj_findings *findings)
{
    if (findings->counts[NJ_FINDING_ERROR] > 0) {
        return STATUS_ERRORS;
    }
    return job->is_strict && findings->counts[NJ_FINDING_WARNING] > 0 ? STATUS_WARNINGS
                                                                      : STATUS_GOOD;
}

int nj_cmd_check(const struct nj_command *command, int argc, char **argv)
{
    struct job job = {.command = command};
    struct nj_findings findings;
    if (argc == 1) {
        nj_manual_print_usage(&NJ_MANUAL_CHECK, command, stderr);
        return STATUS_USAGE;
    }
    int ended = parse(&job, argc, argv);
    if (ended != 0) {
        return ended - 1;
    }
    bool is_compat = job.mode == NJ_SITE_COMPAT;
    enum kind kind = kind_of(&job);
    nj_findings_init(&findings);
    if (kind == KIND_ACL) {
        const struct nj_acl_options options = {
            .leading_for_all = !is_compat,
            .any_case_keywords = !is_compat,
            .nofollow = is_compat,
            .doubtful_as_text = is_compat,
        };
        nj_check_acl(&findings, job.path, &options, NULL);
    } else if (kind == KIND_PASSWORDS) {
        nj_check_passwords(&findings, job.path, is_compat, NULL);
    } else if (kind == KIND_DYNSEC) {
        nj_check_dynsec(&findings, job.path, is_compat);
    } else {
        nj_check_config(&findings, job.path, job.mode, &is_compat);
    }
    nj_findings_sort(&findings);
    if (job.is_quiet) {
        nj_findings_drop_notes(&findings);
    }
    if (job.is_json) {
        print_json(&job, kind, is_compat, &findings);
    } else {
        nj_findings_print(&findings, stdout);
        print_summary(&job, is_compat, &findings);
    }
    int status = status_of(&job, &findings);
    nj_findings_fini(&findings);
    return fflush(stdout) == 0 && !ferror(stdout) ? status : STATUS_USAGE;
}
