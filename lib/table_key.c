/*
 * Keys of tables: one spelling each, and which questions they can answer.
 *
 * What is kept and what is asked for goes through here, so that "192.0.2.1/32" is found by
 * "192.0.2.1" and "Example.ORG" by "example.org".  Nothing here fails.
 */
#include <string.h>

#include "lib/table_inside.h"

void
table_add_folded(struct buf *out, const char *s, size_t len)
{
	for (; len > 0; s++, len--)
		buf_addc(out, *s >= 'A' && *s <= 'Z' ? (char)(*s - 'A' + 'a') : *s);
}

struct ip_text
table_network_key(const struct ipnet *net)
{
	return net->bits == (net->ip.family == AF_INET ? 32 : 128) ? ip_text(&net->ip)
								   : ipnet_text(net);
}

char *
table_normal_key(const char *key, struct ipnet *net)
{
	struct buf out = { 0 };

	*net = (struct ipnet){ .ip = { .family = 0 } };
	if (ipnet_parse(key, net))
		buf_adds(&out, table_network_key(net).s);
	else
		table_add_folded(&out, key, strlen(key));
	return buf_take(&out);
}

void
table_shape_add(struct table_shape *shape, const struct ipnet *net)
{
	if (net->ip.family == AF_INET)
		shape->v4[net->bits] = true;
	else if (net->ip.family == AF_INET6)
		shape->v6[net->bits] = true;
	else
		shape->names = true;
}
