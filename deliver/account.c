/*
 * getpwnam_r and getpwuid_r behind a small cache.
 *
 * The lookup role is the only caller: for every recipient at a domain with system users, when it is
 * named at RCPT and again when it is delivered.  A found account is good for 30 seconds, the
 * absence of one for 5: somebody who was added just now should not be unknown for long.  A slot is
 * chosen by the hash of the name and simply overwritten by the next name that falls into it, so
 * that callers who try names cannot make it grow.
 *
 * A name service that fails is neither an answer nor remembered.
 */
#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/account.h"
#include "lib/clock.h"
#include "lib/mem.h"

#define SLOTS 256 /* a power of two */
#define FOUND_MS 30000
#define NONE_MS 5000
#define NAME_MAX_LEN 64
#define ENTRY_MAX (256 * 1024)

struct slot {
	char *key; /* the name asked for, or "#UID"; NULL: empty */
	uint64_t until;
	bool found;
	char *name, *home;
	uid_t uid;
	gid_t gid;
};

static struct slot slots[SLOTS];

static struct slot *
slot_of(const char *key)
{
	uint32_t h = 2166136261u;

	for (; *key != '\0'; key++)
		h = (h ^ (uint8_t)*key) * 16777619u;
	return &slots[h & (SLOTS - 1)];
}

static void
clear_slot(struct slot *slot)
{
	free(slot->key);
	free(slot->name);
	free(slot->home);
	*slot = (struct slot){ .key = NULL };
}

void
account_forget(void)
{
	size_t i;

	for (i = 0; i < SLOTS; i++)
		clear_slot(&slots[i]);
}

/* Letters, digits, '.', '_' and '-', not one of the latter two in front.  Others are not asked for:
 * some name services read more into a name than a name. */
static bool
name_is_possible(const char *name)
{
	const char *s;

	for (s = name; *s != '\0'; s++) {
		bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
			     (*s >= '0' && *s <= '9') || *s == '_';

		if (!plain && (s == name || (*s != '.' && *s != '-')))
			return false;
	}
	return s > name && s - name <= NAME_MAX_LEN;
}

/* What the C library says: 0 (then *FOUND tells), or an errno. */
static int
ask(const char *name, uid_t uid, struct passwd *pw, char **memory, bool *found)
{
	struct passwd *result = NULL;
	size_t size = 1024;
	int error;

	do {
		*memory = xreallocarray(*memory, size, 1);
		error = name != NULL ? getpwnam_r(name, pw, *memory, size, &result)
				     : getpwuid_r(uid, pw, *memory, size, &result);
		size *= 2;
	} while (error == ERANGE && size <= ENTRY_MAX);
	*found = result != NULL;
	/* some name services say so when they have no such entry */
	return error == ENOENT || error == ESRCH ? 0 : error;
}

static enum account_status
fill(struct slot *slot, const char *key, const char *name, uid_t uid, const char **why)
{
	static char text[128];
	struct passwd pw;
	char *memory = NULL;
	bool found;
	int error = ask(name, uid, &pw, &memory, &found);

	clear_slot(slot);
	if (error != 0) {
		snprintf(
		    text, sizeof(text), "the list of accounts cannot be read: %s", strerror(error));
		*why = text;
		free(memory);
		return ACCOUNT_ERROR;
	}
	slot->key = xstrdup(key);
	slot->found = found;
	slot->until = clock_ms() + (found ? FOUND_MS : NONE_MS);
	if (found) {
		slot->name = xstrdup(pw.pw_name);
		slot->home = xstrdup(pw.pw_dir);
		slot->uid = pw.pw_uid;
		slot->gid = pw.pw_gid;
	}
	free(memory);
	return found ? ACCOUNT_FOUND : ACCOUNT_NONE;
}

static enum account_status
find(const char *key, const char *name, uid_t uid, struct account *out, const char **why)
{
	struct slot *slot = slot_of(key);
	enum account_status status = ACCOUNT_NONE;

	if (slot->key != NULL && strcmp(slot->key, key) == 0 && slot->until > clock_ms())
		status = slot->found ? ACCOUNT_FOUND : ACCOUNT_NONE;
	else
		status = fill(slot, key, name, uid, why);
	if (status == ACCOUNT_FOUND)
		*out = (struct account){ slot->name, slot->home, slot->uid, slot->gid };
	return status;
}

enum account_status
account_by_name(const char *name, struct account *out, const char **why)
{
	if (!name_is_possible(name))
		return ACCOUNT_NONE;
	return find(name, name, 0, out, why);
}

enum account_status
account_by_uid(uid_t uid, struct account *out, const char **why)
{
	static char key[24];
	enum account_status status;

	snprintf(key, sizeof(key), "#%u", (unsigned)uid);
	status = find(key, NULL, uid, out, why);
	if (status == ACCOUNT_NONE) {
		*out = (struct account){ key, "/", uid, (gid_t)uid };
		status = ACCOUNT_FOUND;
	}
	return status;
}

void
account_prepare(void)
{
	struct account ignored;
	const char *why;

	(void)account_by_name("root", &ignored, &why);
	(void)account_by_uid(0, &ignored, &why);
	/* a name that every service is asked for, since none has it */
	(void)account_by_name("genkan.no-such-account", &ignored, &why);
	account_forget();
}
