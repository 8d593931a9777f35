/* `nj passwd` / mosquitto_passwd: users of a password file. The file is always old or new, never
 * half; whatever goes wrong, it is intact (B-351, L-054). */
#include <sys/stat.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "command.h"
#include "manual.h"
#include "mqtt/utf8.h"
#include "opts.h"
#include "passwd_file.h"
#include "prompt.h"
#include "security/password.h"
#include "security/password_file.h"

#define COMPAT_ITERATIONS 1000
#define TEXT_MAX          65535

struct job {
    const struct nj_command *command;
    struct nj_hash_cost cost;
    bool is_create;  /* -c */
    bool is_batch;   /* -b */
    bool is_delete;  /* -D */
    bool is_upgrade; /* -U */
    bool is_forced;  /* --force */
    const char *path;
    const char *user;
    struct nj_buf password;
};

static const struct nj_option_text OPTIONS[] = {
    {"-c", NULL, NULL, NULL, "What to do",
     "create a new file with this user; `-` writes to standard\n"
     "output",
     1},
    {NULL, "--force", NULL, NULL, "What to do", "with -c: in place of an existing file", 1},
    {"-D", NULL, NULL, NULL, "What to do", "delete the user", 1},
    {"-U", NULL, NULL, NULL, "What to do", "replace the plain passwords in the file by hashes", 1},
    {"-b", NULL, NULL, NULL, "How",
     "take the password from the command line, where others can see it", 1},
    {"-H", NULL, "HASH", "argon2id|sha512-pbkdf2|sha512", "How",
     "argon2id, sha512-pbkdf2 or sha512 (argon2id; mosquitto_passwd:\nsha512-pbkdf2)", 1},
    {"-I", NULL, "COUNT", NULL, "How", "iterations of the hash", 1},
    {NULL, "--help", NULL, NULL, "Other", "this text", 1},
};

static const struct nj_option_text *option_text(size_t index)
{
    return index < sizeof(OPTIONS) / sizeof(OPTIONS[0]) ? &OPTIONS[index] : NULL;
}

const struct nj_manual NJ_MANUAL_PASSWD = {
    .word = "passwd",
    .program = "mosquitto_passwd",
    .summary = "manage the password file of an MQTT broker",
    .synopsis = {"[-H HASH] [-c [--force] | -D] FILE USER",
                 "[-H HASH] [-c [--force]] -b FILE USER PASSWORD", "[-H HASH] -U FILE"},
    .description =
        "Adds a user or gives it a new password, asked for twice and never shown; with -D the user "
        "is deleted. The file is the old one or the new one, never half of it, and keeps its mode "
        "and owner. A running broker takes the change over when it is told to reload: see "
        "nj-signal(1).\n\n"
        "sha512 is fast to try out and only right for passwords that were made by chance and are "
        "long.",
    .tool = 1,
    .option = option_text,
    .words = "<file>",
    .statuses = {{"0", "done"}, {"1", "not done; the file is as it was"}},
    .examples = {{"nj passwd -c /etc/nightjar/passwd alice", "a new file with one user"},
                 {"nj passwd /etc/nightjar/passwd bob", "one more user, or a new password"}},
    .see_also = "nj(1), nj-signal(1), nightjar.conf(5)",
};

/* ---- options ---- */

static bool set_kind(struct job *job, const char *name)
{
    static const char *const NAMES[NJ_HASH_KIND_COUNT] = {
        [NJ_HASH_SHA512] = "sha512",
        [NJ_HASH_PBKDF2] = "sha512-pbkdf2",
        [NJ_HASH_ARGON2ID] = "argon2id",
    };
    for (int i = 0; i < NJ_HASH_KIND_COUNT; i++) {
        if (strcmp(NAMES[i], name) == 0) {
            job->cost.kind = (enum nj_hash_kind)i;
            return true;
        }
    }
    fprintf(stderr, "Error: Unknown hash type '%s'\n", name);
    if (!job->command->is_compat) {
        fprintf(stderr, "There are argon2id, sha512-pbkdf2 and sha512.\n");
    }
    return false;
}

static bool set_iterations(struct job *job, const char *text)
{
    char *end = NULL;
    long n = strtol(text, &end, 10);
    if (end == text || *end != '\0' || n < 1) {
        fprintf(stderr, "Error: Number of iterations must be > 0.\n");
        return false;
    }
    if (n > 10000000) {
        fprintf(stderr, "Error: Number of iterations must be at most 10000000.\n");
        return false;
    }
    job->cost.iterations = (uint32_t)n;
    return true;
}

enum parsed {
    PARSED_OK,
    PARSED_BAD,  /* said */
    PARSED_USAGE /* help is the answer */
};

static enum parsed parse_valued(struct job *job, char letter, const char *value)
{
    if (value == NULL) {
        fprintf(stderr, "Error: -%c argument given but not enough other arguments.\n", letter);
        return PARSED_BAD;
    }
    bool is_good = letter == 'H' ? set_kind(job, value) : set_iterations(job, value);
    return is_good ? PARSED_OK : PARSED_BAD;
}

/* The switch that a letter sets; NULL = none. */
static bool *find_switch(struct job *job, char letter)
{
    switch (letter) {
    case 'b':
        return &job->is_batch;
    case 'c':
        return &job->is_create;
    case 'D':
        return &job->is_delete;
    case 'U':
        return &job->is_upgrade;
    default:
        return NULL;
    }
}

/* Where the original prints its usage text without a word, we say what is wrong. */
static enum parsed refuse(const struct job *job, const char *text)
{
    if (job->command->is_compat) {
        return PARSED_USAGE;
    }
    fprintf(stderr, "Error: %s.\n", text);
    (void)nj_manual_point_to_help(job->command);
    return PARSED_BAD;
}

/* `arg` is an option; *at moves on when it has a value. */
static enum parsed parse_option(struct job *job, const char *arg, char **argv, int *at)
{
    if (strcmp(arg, "--force") == 0 && !job->command->is_compat) {
        job->is_forced = true;
        return PARSED_OK;
    }
    bool *flag = find_switch(job, arg[1]);
    bool has_value = arg[1] == 'H' || arg[1] == 'I';
    if (arg[2] != '\0' || (flag == NULL && !has_value)) {
        char text[64];
        (void)snprintf(text, sizeof(text), "Unknown option '%s'", arg);
        return refuse(job, text);
    }
    if (has_value) {
        const char *value = argv[*at + 1];
        *at += value != NULL ? 1 : 0;
        return parse_valued(job, arg[1], value);
    }
    *flag = true;
    return PARSED_OK;
}

static enum parsed parse_options(struct job *job, int argc, char **argv, int *used)
{
    int i = 1;
    for (; i < argc; i++) {
        char plain[16];
        const char *arg = nj_opts_plain_dashes(argv[i], plain, sizeof(plain));
        if (arg[0] != '-' || arg[1] == '\0') {
            break;
        }
        if (strcmp(arg, "--") == 0) {
            i++;
            break;
        }
        enum parsed parsed = parse_option(job, arg, argv, &i);
        if (parsed != PARSED_OK) {
            return parsed;
        }
    }
    *used = i;
    return PARSED_OK;
}

static const char *contradiction(const struct job *job)
{
    if (job->is_create && job->is_delete) {
        return "Error: -c and -D cannot be used together.\n";
    }
    if (job->is_create && job->is_upgrade) {
        return "Error: -c and -U cannot be used together.\n";
    }
    if (job->is_delete && job->is_upgrade) {
        return "Error: -D and -U cannot be used together.\n";
    }
    if (job->is_delete && job->is_batch) {
        return "Error: -b and -D cannot be used together.\n";
    }
    return NULL;
}

/* What is said when there are too few arguments; NULL = the usage text. */
static const char *missing_text(const struct job *job)
{
    if (job->is_create) {
        return job->is_batch
                   ? "Error: -c argument given but password file, username, or password missing.\n"
                   : "Error: -c argument given but password file or username missing.\n";
    }
    if (job->is_delete) {
        return "Error: -D argument given but password file or username missing.\n";
    }
    return job->is_upgrade ? "Error: -U argument given but password file missing.\n" : NULL;
}

static enum parsed take_password(struct job *job, char *password)
{
    size_t len = strlen(password);
    if (len > TEXT_MAX) {
        fprintf(stderr, "Error: Password must be less than 65536 characters long.\n");
        return PARSED_BAD;
    }
    if (len == 0) {
        fprintf(stderr, "Error: Empty password.\n");
        return PARSED_BAD;
    }
    if (nj_buf_append(&job->password, password, len) != NJ_OK) {
        fprintf(stderr, "Error: Out of memory.\n");
        return PARSED_BAD;
    }
    nj_wipe(password, len); /* ps shows it no longer */
    return PARSED_OK;
}

static enum parsed parse(struct job *job, int argc, char **argv)
{
    int at = 0;
    enum parsed parsed = parse_options(job, argc, argv, &at);
    if (parsed != PARSED_OK) {
        return parsed;
    }
    const char *text = contradiction(job);
    if (text != NULL) {
        (void)fputs(text, stderr);
        return PARSED_BAD;
    }
    int needed = job->is_upgrade ? 1 : job->is_batch ? 3 : 2;
    if (argc - at != needed) {
        bool is_short = argc - at < needed;
        text = is_short ? missing_text(job) : NULL;
        if (argc > 1 && text == NULL) {
            return refuse(job, !is_short       ? "too many words; a password on the line needs -b"
                               : job->is_batch ? "a file, a user and a password are needed"
                                               : "a file and a user are needed");
        }
        if (text == NULL) {
            return PARSED_USAGE;
        }
        (void)fputs(text, stderr);
        return PARSED_BAD;
    }
    job->path = argv[at];
    job->user = needed > 1 ? argv[at + 1] : NULL;
    return job->is_batch && needed == 3 ? take_password(job, argv[at + 2]) : PARSED_OK;
}

static bool check_user(const char *user)
{
    struct nj_bytes name = nj_bytes_of(user);
    const char *text = NULL;
    if (name.len > TEXT_MAX) {
        text = "Error: Username must be less than 65536 characters long.\n";
    } else if (memchr(user, ':', name.len) != NULL) {
        text = "Error: Username must not contain the ':' character.\n";
    } else if (nj_mqtt_utf8_is_valid(name) && nj_mqtt_utf8_has_control(name)) {
        text = "Error: Username must not contain control characters.\n";
    } else if (user[0] == '#') {
        text = "Error: Username must not begin with '#', which marks a comment.\n";
    } else if (!nj_password_user_is_valid(name)) {
        text = name.len == 0 ? "Error: Empty username.\n" : "Error: Invalid username.\n";
    }
    if (text != NULL) {
        (void)fputs(text, stderr);
    }
    return text == NULL;
}

/* ---- passwords ---- */

static bool equal(const struct nj_buf *a, const struct nj_buf *b)
{
    return nj_bytes_equal(nj_buf_bytes(a), nj_buf_bytes(b));
}

static void wipe(struct nj_buf *buf)
{
    if (buf->data != NULL) {
        nj_wipe(buf->data, buf->cap);
    }
    nj_buf_fini(buf);
}

/* Returns 0, or the exit status. */
static int ask_password(struct job *job, FILE *out)
{
    struct nj_buf again;
    nj_buf_init(&again);
    int status = 1;
    if (!nj_prompt_password("Password: ", out, &job->password) || job->password.len == 0) {
        fprintf(stderr, job->password.len >= NJ_PROMPT_MAX
                            ? "Error: Password must be less than 65536 characters long.\n"
                            : "Error: Empty password.\n");
    } else if (!nj_prompt_password("Reenter password: ", out, &again)) {
        fprintf(stderr, "Error: Empty password.\n");
    } else if (!equal(&job->password, &again)) {
        fprintf(stderr, "Error: Passwords do not match.\n");
        status = job->command->is_compat ? 2 : 1; /* the original has a number of its own for it */
    } else {
        status = 0;
    }
    wipe(&again);
    return status;
}

static bool hash(const struct job *job, struct nj_bytes password, char out[NJ_HASH_TEXT_MAX])
{
    if (nj_password_hash(password, &job->cost, out) == NJ_OK) {
        return true;
    }
    fprintf(stderr, "Error: Unable to hash password.\n");
    return false;
}

/* ---- the jobs ---- */

static int say_not_created(const struct job *job, int cause)
{
    if (cause == EEXIST && !job->command->is_compat) {
        fprintf(stderr,
                "Error: %s exists. Leave -c out to add or change one user, or use --force to start "
                "anew.\n",
                job->path);
    } else {
        fprintf(stderr, "Error: Unable to open file %s for writing. %s.\n", job->path,
                strerror(cause));
    }
    return 1;
}

static int create(struct job *job)
{
    bool to_stdout = strcmp(job->path, "-") == 0;
    FILE *talk = to_stdout ? stderr : stdout;
    char text[NJ_HASH_TEXT_MAX];
    struct nj_buf line;
    struct stat info;
    nj_buf_init(&line);
    /* Creating checks it again; this only saves typing a password in vain. */
    if (!to_stdout && !job->is_forced && lstat(job->path, &info) == 0) {
        return say_not_created(job, EEXIST);
    }
    int status = job->is_batch ? 0 : ask_password(job, talk);
    if (status != 0) {
        return status;
    }
    if (!hash(job, nj_buf_bytes(&job->password), text)) {
        return 1;
    }
    if (nj_buf_printf(&line, "%s:%s\n", job->user, text) != NJ_OK) {
        fprintf(stderr, "Error: Out of memory.\n");
        return 1;
    }
    if (to_stdout) {
        (void)fwrite(line.data, 1, line.len, stdout);
        nj_buf_fini(&line);
        return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
    }
    enum nj_err err = job->is_forced ? nj_file_replace(job->path, line.data, line.len, 0600)
                                     : nj_passwd_file_create(job->path, nj_buf_bytes(&line));
    nj_buf_fini(&line);
    if (err != NJ_OK) {
        return say_not_created(job, errno);
    }
    printf("Adding password for user %s\n", job->user);
    return 0;
}

static int update(struct job *job, struct nj_passwd_file *file)
{
    char text[NJ_HASH_TEXT_MAX];
    struct nj_buf out;
    bool was_there = false;
    int status = job->is_batch ? 0 : ask_password(job, stdout);
    if (status != 0) {
        return status;
    }
    if (!hash(job, nj_buf_bytes(&job->password), text)) {
        return 1;
    }
    nj_buf_init(&out);
    enum nj_err err = nj_password_text_set(nj_buf_bytes(&file->text), nj_bytes_of(job->user),
                                           nj_bytes_of(text), &out, &was_there);
    bool is_done = false;
    if (err != NJ_OK) {
        fprintf(stderr, "Error: %s.\n", nj_err_text(err));
    } else {
        is_done = nj_passwd_file_replace(file, nj_buf_bytes(&out));
    }
    nj_buf_fini(&out);
    if (is_done) {
        printf("%s password for user %s\n", was_there ? "Updating" : "Adding", job->user);
    }
    return is_done ? 0 : 1;
}

static int delete (const struct job *job, struct nj_passwd_file *file)
{
    struct nj_buf out;
    bool was_there = false;
    nj_buf_init(&out);
    enum nj_err err = nj_password_text_remove(nj_buf_bytes(&file->text), nj_bytes_of(job->user),
                                              &out, &was_there);
    bool is_done = false;
    if (err != NJ_OK) {
        fprintf(stderr, "Error: %s.\n", nj_err_text(err));
    } else if (!was_there) {
        fprintf(stderr, "Warning: User %s not found in password file.\n", job->user);
    } else {
        is_done = nj_passwd_file_replace(file, nj_buf_bytes(&out));
    }
    nj_buf_fini(&out);
    return is_done ? 0 : 1;
}

/* One line of a plain file. Hashes stay as they are: hashing them again would lock everybody out,
 * as it does in the original. */
static bool upgrade_line(const struct job *job, struct nj_bytes line, int number,
                         struct nj_buf *out)
{
    char text[NJ_HASH_TEXT_MAX];
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    const uint8_t *colon = line.len > 0 ? memchr(line.ptr, ':', line.len) : NULL;
    enum nj_err err;
    if (line.len == 0 || line.ptr[0] == '#') {
        err = nj_buf_printf(out, "%.*s\n", (int)line.len, (const char *)line.ptr);
        return err == NJ_OK;
    }
    size_t name_len = colon != NULL ? (size_t)(colon - line.ptr) : 0;
    struct nj_bytes password =
        colon != NULL ? nj_bytes(colon + 1, line.len - name_len - 1) : nj_bytes(NULL, 0);
    if (name_len == 0 || password.len == 0 || password.len > TEXT_MAX) {
        fprintf(stderr, "Error: Corrupt password file at line %d.\n", number);
        return false;
    }
    if (nj_password_hash_is_valid(password)) {
        fprintf(stderr, "Warning: line %d is hashed already, left as it is.\n", number);
        err = nj_buf_printf(out, "%.*s\n", (int)line.len, (const char *)line.ptr);
        return err == NJ_OK;
    }
    return hash(job, password, text) &&
           nj_buf_printf(out, "%.*s:%s\n", (int)name_len, (const char *)line.ptr, text) == NJ_OK;
}

static int upgrade(const struct job *job, struct nj_passwd_file *file)
{
    struct nj_buf out;
    struct nj_bytes rest = nj_buf_bytes(&file->text);
    bool is_good = true;
    nj_buf_init(&out);
    for (int number = 1; is_good && rest.len > 0; number++) {
        const uint8_t *newline = memchr(rest.ptr, '\n', rest.len);
        size_t len = newline != NULL ? (size_t)(newline - rest.ptr) : rest.len;
        size_t used = newline != NULL ? len + 1 : len;
        is_good = upgrade_line(job, nj_bytes(rest.ptr, len), number, &out);
        rest = nj_bytes(rest.ptr + used, rest.len - used);
    }
    is_good = is_good && nj_passwd_file_replace(file, nj_buf_bytes(&out));
    nj_buf_fini(&out);
    return is_good ? 0 : 1;
}

static int run(struct job *job)
{
    if (job->user != NULL && !check_user(job->user)) {
        return 1;
    }
    if (job->is_create) {
        return create(job);
    }
    struct nj_passwd_file file;
    if (!nj_passwd_file_open(&file, job->path, !job->command->is_compat)) {
        return 1;
    }
    int status = job->is_upgrade  ? upgrade(job, &file)
                 : job->is_delete ? delete (job, &file)
                                  : update(job, &file);
    if (file.text.data != NULL) {
        nj_wipe(file.text.data, file.text.cap); /* plain passwords, with -U */
    }
    nj_passwd_file_close(&file);
    return status;
}

int nj_cmd_passwd(const struct nj_command *command, int argc, char **argv)
{
    struct job job = {
        .command = command,
        .cost = {.kind = command->is_compat ? NJ_HASH_PBKDF2 : NJ_HASH_ARGON2ID},
    };
    nj_buf_init(&job.password);
    bool wants_help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    int status = 1;
    enum parsed parsed = wants_help ? PARSED_USAGE : parse(&job, argc, argv);
    if (parsed == PARSED_USAGE) {
        nj_manual_print_usage(&NJ_MANUAL_PASSWD, command,
                              command->is_compat || wants_help ? stdout : stderr);
        status = wants_help && !command->is_compat ? 0 : 1;
    } else if (parsed == PARSED_OK) {
        if (command->is_compat && job.cost.kind == NJ_HASH_PBKDF2 && job.cost.iterations == 0) {
            job.cost.iterations = COMPAT_ITERATIONS;
        }
        status = run(&job);
    }
    wipe(&job.password);
    return status;
}
