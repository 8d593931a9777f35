/* `nj ctl`: what can be asked. */
#include <stdio.h>
#include <string.h>

#include "ctl.h"

#define DEFAULTS "publishClientSend, publishClientReceive, subscribe, unsubscribe"
#define TYPES                                                                                      \
    "publishClientSend, publishClientReceive, subscribeLiteral, subscribePattern,\n"               \
    "         unsubscribeLiteral, unsubscribePattern"

/* A command and its words; without a name, what the following ones have in common. */
static const struct {
    const char *name;
    const char *words;
} DYNSEC[] = {
    {NULL, "General"},
    {"getDetails", ""},
    {"getDefaultACLAccess", ""},
    {"setDefaultACLAccess", "DEFAULT allow|deny"},
    {"getAnonymousGroup", ""},
    {"setAnonymousGroup", "GROUP"},
    {"getCertificateGroup", ""},
    {"setCertificateGroup", "[GROUP]"},
    {"export", "[--form 2.0|2.1]"},
    {NULL, "Clients"},
    {"createClient", "USER [-i CLIENTID] [-p PASSWORD | --generate-password]"},
    {"deleteClient", "USER"},
    {"setClientPassword", "USER [PASSWORD]"},
    {"setClientId", "USER [CLIENTID]"},
    {"enableClient", "USER"},
    {"disableClient", "USER"},
    {"addClientRole", "USER ROLE [PRIORITY]"},
    {"removeClientRole", "USER ROLE"},
    {"modifyClient", "USER textName|textDescription|clientid TEXT"},
    {"getClient", "USER"},
    {"listClients", "[COUNT [OFFSET]]"},
    {NULL, "Groups"},
    {"createGroup", "GROUP"},
    {"deleteGroup", "GROUP"},
    {"addGroupRole", "GROUP ROLE [PRIORITY]"},
    {"removeGroupRole", "GROUP ROLE"},
    {"addGroupClient", "GROUP USER [PRIORITY]"},
    {"removeGroupClient", "GROUP USER"},
    {"modifyGroup", "GROUP textName|textDescription TEXT"},
    {"getGroup", "GROUP"},
    {"listGroups", "[COUNT [OFFSET]]"},
    {NULL, "Roles"},
    {"createRole", "ROLE"},
    {"deleteRole", "ROLE"},
    {"addRoleACL", "ROLE TYPE TOPIC allow|deny [PRIORITY]"},
    {"removeRoleACL", "ROLE TYPE TOPIC"},
    {"modifyRole", "ROLE textName|textDescription|allowWildcardSubs TEXT"},
    {"getRole", "ROLE"},
    {"listRoles", "[COUNT [OFFSET]]"},
    {"unsubscribeLiteral,", "unsubscribePattern"},
};
#define DYNSEC_COUNT (sizeof(DYNSEC) / sizeof(DYNSEC[0]))

void nj_ctl_help_broker(const struct nj_command *command)
{
    printf("\nWhat the broker is made of\n"
           "==========================\n\n"
           "    %s broker listPlugins      modules that are turned on, and their topics\n"
           "    %s broker listListeners    listeners with their ids\n\n",
           command->name, command->name);
}

void nj_ctl_help_dynsec(const struct nj_command *command)
{
    printf("\nDynamic security: clients, groups, roles\n"
           "========================================\n\n"
           "Without a broker:\n"
           "    %s dynsec init FILE USER [PASSWORD [ROLE]]\n"
           "    %s -f FILE dynsec setClientPassword USER PASSWORD\n",
           command->name, command->name);
    for (size_t i = 0; i < DYNSEC_COUNT; i++) {
        if (DYNSEC[i].name) {
            printf(DYNSEC[i].words[0] ? "    %-20s %s\n" : "    %s%s\n", DYNSEC[i].name,
                   DYNSEC[i].words);
        } else {
            printf("\n%s\n", DYNSEC[i].words);
        }
    }
    (void)fputs("\nDEFAULT  " DEFAULTS "\nTYPE     " TYPES "\n"
                "PRIORITY higher numbers are looked at first\n\n",
                stdout);
}

void nj_ctl_help_dynsec_words(const struct nj_command *command, const char *name)
{
    for (size_t i = 0; i < DYNSEC_COUNT; i++) {
        if (DYNSEC[i].name && strcmp(DYNSEC[i].name, name) == 0) {
            const char *words = DYNSEC[i].words;
            fprintf(stderr, "Usage: %s dynsec %s%s%s\n", command->name, name, words[0] ? " " : "",
                    words);
            if (strstr(words, "DEFAULT")) {
                (void)fputs("DEFAULT  " DEFAULTS "\n", stderr);
            } else if (strstr(words, "TYPE")) {
                (void)fputs("TYPE     " TYPES "\n", stderr);
            }
        }
    }
}
