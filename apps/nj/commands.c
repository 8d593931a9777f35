/* The commands of the multi-call tool: one row for each. */
#include "command.h"
#include "manual.h"

static const struct nj_command_row COMMANDS[] = {
    {&NJ_MANUAL_PUB, "nj pub", nj_cmd_pub},
    {&NJ_MANUAL_SUB, "nj sub", nj_cmd_sub},
    {&NJ_MANUAL_RR, "nj rr", nj_cmd_rr},
    {&NJ_MANUAL_CTL, "nj ctl", nj_cmd_ctl},
    {&NJ_MANUAL_PASSWD, "nj passwd", nj_cmd_passwd},
    {&NJ_MANUAL_CHECK, "nj check", nj_cmd_check},
    {&NJ_MANUAL_EXPLAIN, "nj explain", nj_cmd_explain},
    {&NJ_MANUAL_SIGNAL, "nj signal", nj_cmd_signal},
    {&NJ_MANUAL_STORE, "nj store", nj_cmd_store},
    {&NJ_MANUAL_DB_DUMP, "nj db-dump", nj_cmd_db_dump},
#ifdef NJ_HAVE_BENCH
    {&NJ_MANUAL_BENCH, "nj bench", nj_cmd_bench},
#endif
};

const struct nj_command_row *nj_commands(size_t *count)
{
    *count = sizeof(COMMANDS) / sizeof(COMMANDS[0]);
    return COMMANDS;
}
