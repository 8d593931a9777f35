"""The load of revocation.py with dynamic security: the rights of readers are entries of their roles,
turned around by atomic requests of an administrator."""
import time

import dynsec
import passwords
from dynsec import Dynsec, acl, role
from revocation import TOPICS, Load


class DynsecLoad(Load):
    def __init__(self, make_broker, **options):
        super().__init__(lambda _config, _files: make_broker(
            dynsec.CONFIG + "max_queued_messages 100\n", {"ds.json": self.content()}), **options)
        self.adm = Dynsec(self.broker)

    def acls(self, user):
        return [acl("subscribePattern", "#"), acl("publishClientReceive", "end"),
                *(acl("publishClientReceive", t) for t in TOPICS if self.rights[user, t])]

    def content(self):
        def client(name, *roles):
            return {**dynsec.client(name, *roles), "encoded_password": passwords.sha512(name)}
        roles = [role("w", acl("publishClientSend", "t/#"), acl("publishClientSend", "end"),
                      acl("subscribePattern", "end"), acl("publishClientReceive", "end"))]
        roles += [role(f"read-{u}", *self.acls(u)) for u in self.users]
        return dynsec.text(clients=[client("w", "w"),
                                    *(client(u, f"read-{u}") for u in self.users)], roles=roles,
                           defaultACLAccess={"publishClientReceive": False, "unsubscribe": True})

    def change(self, is_lie=False):
        changed = self.random.sample(sorted(self.rights), 3)
        for which in changed:
            self.rights[which] = not self.rights[which]
        commands = [{"command": "modifyRole", "rolename": f"read-{user}", "acls": self.acls(user)}
                    for user in sorted({user for user, _ in changed})]
        started = time.monotonic()
        if not is_lie:
            answers = self.adm.batch(*commands, atomic=True)
            assert not [a for a in answers if "error" in a], answers
        self.history.change(started, time.monotonic(), self.rights)
