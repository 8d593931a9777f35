/* `nj ctl`: what can be asked. */
#include <stdio.h>

#include "ctl.h"

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
    (void)fputs(
        "\nGeneral\n"
        "    getDetails\n"
        "    getDefaultACLAccess\n"
        "    setDefaultACLAccess  DEFAULT allow|deny\n"
        "    getAnonymousGroup\n"
        "    setAnonymousGroup    GROUP\n"
        "    getCertificateGroup\n"
        "    setCertificateGroup  [GROUP]\n"
        "    export               [--form 2.0|2.1]\n"
        "\nClients\n"
        "    createClient         USER [-i CLIENTID] [-p PASSWORD | --generate-password]\n"
        "    deleteClient         USER\n"
        "    setClientPassword    USER [PASSWORD]\n"
        "    setClientId          USER [CLIENTID]\n"
        "    enableClient         USER\n"
        "    disableClient        USER\n"
        "    addClientRole        USER ROLE [PRIORITY]\n"
        "    removeClientRole     USER ROLE\n"
        "    modifyClient         USER textName|textDescription|clientid TEXT\n"
        "    getClient            USER\n"
        "    listClients          [COUNT [OFFSET]]\n"
        "\nGroups\n"
        "    createGroup          GROUP\n"
        "    deleteGroup          GROUP\n"
        "    addGroupRole         GROUP ROLE [PRIORITY]\n"
        "    removeGroupRole      GROUP ROLE\n"
        "    addGroupClient       GROUP USER [PRIORITY]\n"
        "    removeGroupClient    GROUP USER\n"
        "    modifyGroup          GROUP textName|textDescription TEXT\n"
        "    getGroup             GROUP\n"
        "    listGroups           [COUNT [OFFSET]]\n"
        "\nRoles\n"
        "    createRole           ROLE\n"
        "    deleteRole           ROLE\n"
        "    addRoleACL           ROLE TYPE TOPIC allow|deny [PRIORITY]\n"
        "    removeRoleACL        ROLE TYPE TOPIC\n"
        "    modifyRole           ROLE textName|textDescription|allowWildcardSubs TEXT\n"
        "    getRole              ROLE\n"
        "    listRoles            [COUNT [OFFSET]]\n"
        "\nDEFAULT  publishClientSend, publishClientReceive, subscribe, unsubscribe\n"
        "TYPE     publishClientSend, publishClientReceive, subscribeLiteral, subscribePattern,\n"
        "         unsubscribeLiteral, unsubscribePattern\n"
        "PRIORITY higher numbers are looked at first\n\n",
        stdout);
}
