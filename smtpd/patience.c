/*
 * Time limits of a session, and room for newcomers (patience.h).
 *
 * A turn begins when the client may speak, and its limit does not move while he speaks: an octet a minute does not make a
 * command.  A text may be long, so its octets buy time; the account is full after `limit idle` seconds, which lets the
 * rate be uneven (RFC 5321 4.5.3.2.5 asks for three minutes for a chunk).  When most connections are taken a turn is
 * ten seconds, and who has to go is somebody who was here longest without bringing anything: the least is known of him, and a
 * server that is in order comes back.
 */
#include "conf/conf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "smtpd/census.h"
#include "smtpd/patience.h"
#include "smtpd/session.h"

#define SHORT_MS 10000
#define SETTLED_MS 1000   /* nobody goes before he could have begun */
#define LOOKED_AT 256     /* sessions, for one that has to go */

/* Most connections of `limit connections` are taken: everybody gets less time. */
static bool
is_short(void)
{
	static struct log_pace pace;
	uint64_t most = session_conf()->limits[LIMIT_CONNECTIONS];
	uint32_t all = census_all();
	uint64_t held;

	if (all <= most / 4 * 3 || most == UINT64_MAX)
		return false;
	if (log_may_tell(&pace, &held))
		log_warning("session.stress", F_U64("connections", all), F_U64("limit", most),
		    F_STR("effect", "clients get ten seconds for each command"));
	return true;
}

static uint64_t
turn_ms(const struct session *s)
{
	uint64_t ms = (uint64_t)s->idle * 1000;

	return ms > SHORT_MS && is_short() ? SHORT_MS : ms;
}

void
patience_turn(struct session *s)
{
	session_set_timer(s, turn_ms(s));
}

void
patience_text(struct session *s, uint64_t n)
{
	uint64_t rate = session_conf()->limits[LIMIT_DATA_RATE], now = clock_ms(), most = turn_ms(s), left;

	left = s->deadline_ms > now ? s->deadline_ms - now : 1;
	if (rate == UINT64_MAX || rate == 0) /* off */
		left = most;
	else
		left += n * 1000 / rate;
	session_set_timer(s, left < most ? left : most);
}

/* He may go: a stranger who has brought nothing, is in no transaction and waits for nothing of ours but the banner. */
static bool
may_go(const struct session *s, const struct session *newcomer)
{
	return s != newcomer && s->state != STATE_CLOSING && s->tx == NULL && s->accepted == 0 && !s->relay_client &&
	    s->login == NULL && (!s->busy || s->state == STATE_DOOR) && clock_ms() - s->door.since_ms > SETTLED_MS;
}

/* The oldest are looked at first; one without a verified name goes before one with.  Those who should go may be another
 * worker's, who hears nothing of it; some above the limit are borne until their ten seconds are over. */
bool
patience_make_room(const struct session *newcomer, uint64_t all)
{
	struct session *s, *choice = NULL;
	unsigned looked = 0;

	for (s = session_next(NULL); s != NULL && looked < LOOKED_AT; s = session_next(s), looked++) {
		if (!may_go(s, newcomer))
			continue;
		if (choice == NULL)
			choice = s;
		if (s->door.facts.rdns != RDNS_PASS) {
			choice = s;
			break;
		}
	}
	if (choice == NULL)
		return all <= session_conf()->limits[LIMIT_CONNECTIONS] / 8 * 9;
	session_turn_out(choice, "this server is very busy; please try again later", "room for others");
	return true;
}
