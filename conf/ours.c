/*
 * Whom we are: the names that mean this server and the domains that are delivered here.
 *
 * The doorman asks for every HELO and recipient, smtpctl for callers who are not there; so that all
 * of them mean the same, it is here.  Pure; nothing can fail.
 */
#include <string.h>
#include <strings.h>

#include "conf/conf.h"

bool
conf_is_ours(const struct conf *conf, const char *name)
{
	unsigned i;

	if (strcasecmp(name, conf->host) == 0)
		return true;
	for (i = 0; i < conf->lookup.domains_n; i++)
		if (strcasecmp(name, conf->lookup.domains[i].name) == 0)
			return true;
	return false;
}

bool
conf_is_postmaster(const struct conf *conf, const char *address)
{
	const char *at = strrchr(address, '@');
	size_t len;

	if (at == NULL || !conf_is_ours(conf, at + 1))
		return false;
	len = (size_t)(at - address);
	return (len == 10 && strncasecmp(address, "postmaster", len) == 0) ||
	    (len == 5 && strncasecmp(address, "abuse", len) == 0);
}
