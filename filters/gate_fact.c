/*
 * What the gate can know of a caller, and from when on (gate.h).
 *
 * The gate asks in advance by it, the check of a gate refuses rules that ask too early.
 */
#include "filters/gate.h"

/*
 * From when on a fact is final.  A client may start TLS or authenticate at any time before MAIL,
 * and not after (RFC 4954 4, RFC 3207 4.2), so before MAIL "not tls" would be true of everybody.
 */
static const enum phase fact_phases[FACT_COUNT] = {
	[FACT_CLIENT] = PHASE_CONNECT,
	[FACT_TIME] = PHASE_CONNECT,
	[FACT_RDNS] = PHASE_CONNECT,
	[FACT_S25R] = PHASE_CONNECT,
	[FACT_DNSBL] = PHASE_CONNECT,
	[FACT_DNSWL] = PHASE_CONNECT,
	[FACT_RATE] = PHASE_CONNECT,
	[FACT_CONNECTIONS] = PHASE_CONNECT,
	[FACT_UNKNOWN_RECIPIENTS] = PHASE_CONNECT, /* in this session and before */
	[FACT_TRAPPED] = PHASE_CONNECT,
	[FACT_EARLY_TALKER] = PHASE_GREETING,
	[FACT_HELO] = PHASE_HELO,
	[FACT_HELO_RESOLVES] = PHASE_HELO,
	[FACT_SENDER] = PHASE_MAIL,
	[FACT_SENDER_DOMAIN] = PHASE_MAIL,
	[FACT_SPF] = PHASE_MAIL,
	[FACT_AUTHENTICATED] = PHASE_MAIL,
	[FACT_TLS] = PHASE_MAIL,
	[FACT_RECIPIENT] = PHASE_RCPT,
	[FACT_KNOWN_CORRESPONDENT] = PHASE_RCPT,
	[FACT_LIST_MEMBER] = PHASE_RCPT,
	[FACT_PIPELINING] = PHASE_DATA,
	[FACT_DKIM] = PHASE_MESSAGE,
	[FACT_DMARC] = PHASE_MESSAGE,
	[FACT_SIZE] = PHASE_MESSAGE,
};

/* What this version finds out; the others parse and count as unknown. */
static const bool fact_evaluated[FACT_COUNT] = {
	[FACT_CLIENT] = true,
	[FACT_TIME] = true,
	[FACT_RDNS] = true,
	[FACT_S25R] = true,
	[FACT_DNSBL] = true,
	[FACT_DNSWL] = true,
	[FACT_RATE] = true,
	[FACT_CONNECTIONS] = true,
	[FACT_TRAPPED] = true,
	[FACT_EARLY_TALKER] = true,
	[FACT_HELO] = true,
	[FACT_HELO_RESOLVES] = true,
	[FACT_SENDER] = true,
	[FACT_SENDER_DOMAIN] = true,
	[FACT_SPF] = true,
	[FACT_RECIPIENT] = true,
	[FACT_KNOWN_CORRESPONDENT] = true,
	[FACT_UNKNOWN_RECIPIENTS] = true,
	[FACT_PIPELINING] = true,
	[FACT_SIZE] = true,
	[FACT_AUTHENTICATED] = true,
	[FACT_TLS] = true,
};

enum phase
fact_phase(enum fact fact)
{
	return fact < FACT_COUNT ? fact_phases[fact] : PHASE_MESSAGE;
}

bool
fact_is_evaluated(enum fact fact)
{
	return fact < FACT_COUNT && fact_evaluated[fact];
}
