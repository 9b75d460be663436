/*
 * Fuzz target: the header of a proxy.  However it is cut, the answer is the same; what is behind it does not matter.
 */
#include <string.h>

#include "regress/fuzz/target.h"
#include "smtpd/proxy.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy whole, part;
	enum proxy_status end, status;
	size_t used, part_used, len;

	end = proxy_parse(data, size, &whole, &used);
	require(end != PROXY_DONE || (used > 0 && used <= size && used <= PROXY_HEADER_MAX));
	for (len = 0; len < size && len < 300; len++) {
		status = proxy_parse(data, len, &part, &part_used);
		if (status == PROXY_MORE)
			continue;
		require(status == end);
		if (status == PROXY_DONE)
			require(part_used == used && ip_equal(&part.client, &whole.client) && part.port == whole.port);
		else
			require(end == PROXY_BAD);
	}
	return 0;
}
