/*
 * The account that runs the programs and writes the files which the aliases of a domain name.
 */
#ifndef DELIVER_ALIAS_ACCOUNT_H
#define DELIVER_ALIAS_ACCOUNT_H

#include "deliver/mailbox_root.h"

/* `aliases <x> as ACCOUNT`, or else the owner of their file; never root.  ROOT->PATH becomes the
 * domain's name.  NULL, or what is wrong (caller frees; then nothing in *ROOT is to be freed). */
char *alias_account(const struct domain *, struct mailbox_root *);

#endif
