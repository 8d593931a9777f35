/* `nj store`: looking at the directory in which a broker keeps its state, copying and checking it.
 * Everything but compact and import works beside a running broker. */
#include "store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "command.h"
#include "manual.h"
#include "store/tool.h"

static const struct nj_option_text OPTIONS[] = {
    {NULL, "--help", NULL, NULL, "Other", "this text", 1},
};

static const struct nj_option_text *option_text(size_t index)
{
    return index < sizeof(OPTIONS) / sizeof(OPTIONS[0]) ? &OPTIONS[index] : NULL;
}

const struct nj_manual NJ_MANUAL_STORE = {
    .word = "store",
    .summary = "look at, check and copy what a broker keeps on disk",
    .synopsis = {"stats|dump|check DIRECTORY", "backup DIRECTORY NEW-DIRECTORY",
                 "compact DIRECTORY", "import DIRECTORY MOSQUITTO-DB"},
    .description =
        "DIRECTORY is where the broker keeps its state: the one that its log names at the start, "
        "for example /var/lib/nightjar/nightjar.store.\n\n"
        "stats counts records and bytes. dump prints every record as a line of JSON. check looks "
        "at every page and every checksum, and whether what refers to something finds it. backup "
        "writes a copy of one moment, without free space, into a new directory that a broker can "
        "use; stats, dump, check and backup may be used while the broker runs.\n\n"
        "compact gives free space back to the file system. import reads the mosquitto.db of "
        "Mosquitto 1.6 to 2.1 into a store that is new or empty: retained messages, sessions, "
        "subscriptions, queued messages and those in flight. No broker may use the store "
        "meanwhile.",
    .tool = 1,
    .option = option_text,
    .words = "stats|dump|check|backup|compact|import",
    .statuses = {{"0", "done; for check: all is sound"},
                 {"1", "not done"},
                 {"2", "check: damage was found"}},
    .examples =
        {{"nj store check /var/lib/nightjar/nightjar.store", "is all well?"},
         {"nj store backup /var/lib/nightjar/nightjar.store /backup/monday",
          "while the broker runs"},
         {"nj store import /var/lib/nightjar/nightjar.store /var/lib/mosquitto/mosquitto.db",
          "before the first start after a change from Mosquitto"}},
    .see_also = "nj(1), nightjar(8), nightjar.conf(5)",
};

/* ---- the words */

/* What the store logs is this command's own talk: without a time in front. */
static void log_plainly(void)
{
    const struct nj_log_settings settings = {.types = NJ_LOG_DEFAULT, .to_stderr = true};
    if (nj_log_configure(&settings) != NJ_OK) {
        abort(); /* no file is to be opened: it cannot fail */
    }
}

static int print_stats(const char *path, const char *unused)
{
    struct nj_store_stats stats;
    (void)unused;
    if (nj_store_stats_read(path, &stats) != NJ_OK) {
        return 1;
    }
    printf("%-14s %12s %10s %6s\n", "table", "records", "pages", "depth");
    for (int i = 0; i < NJ_STORE_TABLES; i++) {
        printf("%-14s %12" PRIu64 " %10" PRIu64 " %6u\n", stats.tables[i].name,
               stats.tables[i].records, stats.tables[i].pages, stats.tables[i].depth);
    }
    printf("\nfile           %12" PRIu64 " bytes, %" PRIu64 " of them in use\n", stats.file_bytes,
           stats.used_bytes);
    printf("map            %12" PRIu64 " bytes\n", stats.map_bytes);
    printf("large payloads %12" PRIu64 " bytes in %" PRIu64 " files\n", stats.blob_bytes,
           stats.blobs);
    printf("transaction    %12" PRIu64 "\n", stats.transaction);
    printf("in use         %12s\n", stats.is_running ? "yes" : "no");
    return 0;
}

static int dump(const char *path, const char *unused)
{
    (void)unused;
    return nj_store_dump_run(path);
}

static int check(const char *path, const char *unused)
{
    struct nj_store_check result;
    (void)unused;
    enum nj_err err = nj_store_check(path, &result);
    if (err != NJ_OK && err != NJ_EMALFORMED) {
        return 1;
    }
    const struct {
        const char *what;
        uint64_t count;
    } faults[] = {
        {"damaged pages", result.damaged_pages},
        {"damaged records", result.damaged_records},
        {"queued messages whose content is gone", result.rows_without_message},
        {"contents that nothing refers to", result.messages_without_row},
        {"contents with a wrong number of users", result.wrong_counts},
        {"records of sessions that are gone", result.without_session},
        {"damaged large payloads", result.damaged_blobs},
    };
    printf("%" PRIu64 " pages, %" PRIu64 " records, %" PRIu64 " messages queued or in flight\n",
           result.pages, result.records, result.rows);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        if (faults[i].count) {
            printf("%" PRIu64 " %s\n", faults[i].count, faults[i].what);
        }
    }
    if (result.text[0]) {
        printf("%s\n", result.text);
    }
    printf("%s\n", err == NJ_OK
                       ? "All is sound."
                       : "The store is damaged. The broker takes over what is sound when it "
                         "starts, and keeps the damaged file aside.");
    return err == NJ_OK ? 0 : 2;
}

static int backup(const char *path, const char *to)
{
    if (nj_store_backup(path, to) != NJ_OK) {
        fprintf(stderr, "Error: the backup is not complete; do not use it.\n");
        return 1;
    }
    printf("%s is a copy of %s.\n", to, path);
    return 0;
}

static int compact(const char *path, const char *unused)
{
    uint64_t before = 0;
    uint64_t after = 0;
    (void)unused;
    if (nj_store_compact(path, &before, &after) != NJ_OK) {
        return 1;
    }
    printf("%" PRIu64 " bytes before, %" PRIu64 " after.\n", before, after);
    return 0;
}

static int import(const char *path, const char *file)
{
    return nj_store_import_run(path, file);
}

static const struct word {
    const char *name;
    int arguments; /* including the directory */
    int (*run)(const char *path, const char *second);
} WORDS[] = {
    {"stats", 1, print_stats}, {"dump", 1, dump},       {"check", 1, check},
    {"backup", 2, backup},     {"compact", 1, compact}, {"import", 2, import},
};

static void say_wanted(const struct word *word)
{
    fprintf(stderr, "Error: nj store %s wants %s.\n", word->name,
            word->arguments == 1  ? "one directory"
            : word->run == import ? "a new directory and a mosquitto.db"
                                  : "a directory and a new one");
}

int nj_cmd_store(const struct nj_command *command, int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        nj_manual_print_usage(&NJ_MANUAL_STORE, command, stdout);
        return 0;
    }
    log_plainly();
    for (size_t i = 0; argc > 1 && i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        if (strcmp(argv[1], WORDS[i].name) == 0 && argc - 2 == WORDS[i].arguments) {
            return WORDS[i].run(argv[2], argc > 3 ? argv[3] : NULL);
        }
    }
    for (size_t i = 0; argc > 1 && i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        if (strcmp(argv[1], WORDS[i].name) == 0) {
            say_wanted(&WORDS[i]);
            return nj_manual_point_to_help(command);
        }
    }
    fprintf(stderr,
            argc > 1 ? "Error: nj store knows no command '%s'.\n"
                     : "Error: what to do, and a directory, are needed%s.\n",
            argc > 1 ? argv[1] : "");
    return nj_manual_point_to_help(command);
}
